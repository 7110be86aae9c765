//! The org's objects as a table: one text per object, one line per field.
//!
//! `Name type [length | precision,scale] [flags] [= picklist values]`. Flags: `required` on create,
//! `ro` read-only, `createonly`, `lookup` (idLookup), `extid`, `unique`, `restricted` picklist,
//! `noevent` (not in the change event), `cascade` / `restrict` (what deleting the parent does),
//! `default:VALUE` (underscores are spaces). Every object begins with the seven system fields.
//! `@` stands for the four audit fields at their place in the change event.

/// Objects with a change event and those that records refer to.
pub(crate) const OBJECTS: &[&str] = &[
    ACCOUNT,
    CONTACT,
    OPPORTUNITY,
    QUOTE,
    ORDER,
    ORDER_ITEM,
    LINE_ITEM,
    PRODUCT,
    PRICEBOOK,
    PRICEBOOK_ENTRY,
    USER,
    LEAD,
    CASE,
    TASK,
    STAGE,
    ORGANIZATION,
];

const ACCOUNT: &str = "
Account 001 Account|Accounts
Name text 255 required switchable
Type pick 40 = Prospect|Customer - Direct|Customer - Channel|Channel Partner / Reseller|Installation Partner|Technology Partner|Other
ParentId ref Account
BillingAddress address
ShippingAddress address
Phone phone
Fax phone
AccountNumber text 40
Website url 255
Sic text 20
Industry pick 40 = Agriculture|Apparel|Banking|Biotechnology|Chemicals|Communications|Construction|Consulting|Education|Electronics|Energy|Engineering|Entertainment|Environmental|Finance|Food & Beverage|Government|Healthcare|Hospitality|Insurance|Machinery|Manufacturing|Media|Not For Profit|Recreation|Retail|Shipping|Technology|Telecommunications|Transportation|Utilities|Other
AnnualRevenue currency 18,0
NumberOfEmployees int 8
Ownership pick 40 = Public|Private|Subsidiary|Other
TickerSymbol text 20
Description area 32000
Rating pick 40 = Hot|Warm|Cold
Site text 80
OwnerId ref User default:me
@
Jigsaw text 20
CleanStatus pick 40 restricted = Matched|Different|Acknowledged|NotFound|Inactive|Pending|SelectMatch|Skipped
AccountSource pick 255 = Web|Phone Inquiry|Partner Referral|Purchased List|Other
DunsNumber text 9
Tradestyle text 255
NaicsCode text 8
NaicsDesc text 120
YearStarted text 4
SicDesc text 80
Concord_Id__c text 36 extid unique
Concord_Write__c text 60
ERP_Id__c text 40 extid
Tax_Id__c text 20
Email__c email 80
Payment_Terms__c pick 255 restricted = NET15|NET30|NET45|NET60
Credit_Limit__c currency 18,2
MasterRecordId ref Account ro noevent
";

const CONTACT: &str = "
Contact 003 Contact|Contacts
AccountId ref Account cascade
Name name
OtherAddress address
MailingAddress address
Phone phone
Fax phone
MobilePhone phone
HomePhone phone
OtherPhone phone
AssistantPhone phone
ReportsToId ref Contact
Email email 80 lookup
Title text 128
Department text 80
AssistantName text 40
LeadSource pick 255 = Web|Phone Inquiry|Partner Referral|Purchased List|Other
Birthdate date
Description area 32000
OwnerId ref User default:me
@
EmailBouncedReason text 255
EmailBouncedDate datetime
Jigsaw text 20
Concord_Id__c text 36 extid unique
Concord_Write__c text 60
MasterRecordId ref Contact ro noevent
IsEmailBounced bool ro noevent
";

const OPPORTUNITY: &str = "
Opportunity 006 Opportunity|Opportunities
AccountId ref Account cascade
IsPrivate bool default:false
Name text 120 required lookup
Description area 32000
StageName pick 255 required = Prospecting|Qualification|Needs Analysis|Value Proposition|Id. Decision Makers|Perception Analysis|Proposal/Price Quote|Negotiation/Review|Closed Won|Closed Lost
Amount currency 18,2
Probability percent 3,0 default:stage
ExpectedRevenue currency 18,2 ro
TotalOpportunityQuantity double 18,2
CloseDate date required
Type pick 255 = Existing Customer - Upgrade|Existing Customer - Replacement|Existing Customer - Downgrade|New Customer
NextStep text 255
LeadSource pick 255 = Web|Phone Inquiry|Partner Referral|Purchased List|Other
IsClosed bool ro
IsWon bool ro
ForecastCategory pick 40 restricted ro = Omitted|Pipeline|BestCase|MostLikely|Forecast|Closed
ForecastCategoryName pick 40 default:stage = Omitted|Pipeline|Best Case|Most Likely|Commit|Closed
HasOpportunityLineItem bool ro
Pricebook2Id ref Pricebook2
OwnerId ref User default:me
@
LastStageChangeDate datetime ro
ContactId ref Contact createonly
Concord_Id__c text 36 extid unique
Concord_Write__c text 60
";

const QUOTE: &str = "
Quote 0Q0 Quote|Quotes
OwnerId ref User default:me
Name text 255 required
@
OpportunityId ref Opportunity required createonly cascade
Pricebook2Id ref Pricebook2
ContactId ref Contact
QuoteNumber auto
IsSyncing bool ro
ShippingHandling currency 18,2
Tax currency 18,2
Status pick 40 = Draft|Needs Review|In Review|Approved|Rejected|Presented|Accepted|Denied
ExpirationDate date
Description area 32000
Subtotal currency 18,2 ro
TotalPrice currency 18,2 ro
GrandTotal currency 18,2 ro
Discount percent 5,2 ro
LineItemCount int 9 ro
BillingName text 255
BillingAddress address
ShippingName text 255
ShippingAddress address
Email email 80
Phone phone
AccountId ref Account ro
";

const ORDER: &str = "
Order 801 Order|Orders
OwnerId ref User default:me
ContractId text 18
AccountId ref Account required cascade
Pricebook2Id ref Pricebook2
OpportunityId ref Opportunity
QuoteId ref Quote
EffectiveDate date required
EndDate date
IsReductionOrder bool default:false
Status pick 100 restricted required = Draft|Activated
Description area 32000
Type pick 40 = New|Renewal
BillingAddress address
ShippingAddress address
Name text 80
PoDate date
PoNumber text 80
OrderReferenceNumber text 80
BillToContactId ref Contact
ShipToContactId ref Contact
ActivatedDate datetime ro
ActivatedById ref User ro
StatusCode pick 40 restricted ro = Draft|Activated
OrderNumber auto lookup
TotalAmount currency 18,2 ro
@
Concord_Id__c text 36 extid unique
Concord_Write__c text 60
";

const ORDER_ITEM: &str = "
OrderItem 802 Order Product|Order Products
Product2Id ref Product2
OrderId ref Order required createonly cascade
PricebookEntryId ref PricebookEntry createonly
AvailableQuantity double 18,2 ro
Quantity double 18,2 required
UnitPrice currency 18,2
ListPrice currency 18,2
TotalPrice currency 18,2 ro
ServiceDate date
EndDate date
Description text 255
@
OrderItemNumber auto
";

const LINE_ITEM: &str = "
OpportunityLineItem 00k Opportunity Product|Opportunity Product
OpportunityId ref Opportunity required createonly cascade
SortOrder int 9
PricebookEntryId ref PricebookEntry createonly
Product2Id ref Product2 createonly
ProductCode text 255 ro
Name text 376 ro
Quantity double 12,2 required
TotalPrice currency 18,2
UnitPrice currency 18,2
ListPrice currency 18,2 ro
ServiceDate date
Description text 255
@
";

const PRODUCT: &str = "
Product2 01t Product|Products
Name text 255 required
ProductCode text 255
Description area 4000
IsActive bool default:false
@
Family pick 40 = None
StockKeepingUnit text 180
";

const PRICEBOOK: &str = "
Pricebook2 01s Price Book|Price Books
Name text 255 required
@
IsActive bool default:false
Description text 255
IsStandard bool ro
";

const PRICEBOOK_ENTRY: &str = "
PricebookEntry 01u Price Book Entry|Price Book Entries
Name text 255 ro
Pricebook2Id ref Pricebook2 required createonly
Product2Id ref Product2 required createonly
UnitPrice currency 18,2 required
IsActive bool default:false
UseStandardPrice bool default:false
@
ProductCode text 255 ro
";

const USER: &str = "
User 005 User|Users
Username text 80 required lookup
Name name
CompanyName text 80
Email email 128 required
Phone phone
Alias text 8
IsActive bool default:true
UserType pick 40 ro = Standard|CloudIntegrationUser
@
";

const LEAD: &str = "
Lead 00Q Lead|Leads
Name name
Title text 128
Company text 255 required
Address address
Phone phone
MobilePhone phone
Email email 80 lookup
Website url 255
Description area 32000
LeadSource pick 255 = Web|Phone Inquiry|Partner Referral|Purchased List|Other
Status pick 255 = Open - Not Contacted|Working - Contacted|Closed - Converted|Closed - Not Converted
Industry pick 40
Rating pick 40 = Hot|Warm|Cold
OwnerId ref User default:me
@
IsConverted bool ro
ConvertedDate date ro
ConvertedAccountId ref Account ro
ConvertedContactId ref Contact ro
ConvertedOpportunityId ref Opportunity ro
MasterRecordId ref Lead ro noevent
";

const CASE: &str = "
Case 500 Case|Cases
CaseNumber auto lookup
ContactId ref Contact
AccountId ref Account restrict
Type pick 255
Status pick 255 default:New = New|Working|Escalated|Closed
Origin pick 255 = Phone|Email|Web
Subject text 255
Priority pick 255 default:Medium = High|Medium|Low
Description area 32000
IsClosed bool ro
OwnerId ref User default:me
@
";

const TASK: &str = "
Task 00T Task|Tasks
WhoId ref Contact|Lead
WhatId ref Account|Opportunity|Order|Quote|Case
Subject text 255
ActivityDate date
Status pick 255 default:Not_Started = Not Started|In Progress|Completed|Waiting on someone else|Deferred
Priority pick 255 default:Normal = High|Normal|Low
OwnerId ref User default:me
Description area 32000
@
";

const STAGE: &str = "
OpportunityStage 01J Opportunity Stage|Opportunity Stage readonly
MasterLabel text 255
ApiName text 255
IsActive bool
SortOrder int 9
IsClosed bool
IsWon bool
ForecastCategory pick 40 = Omitted|Pipeline|BestCase|MostLikely|Forecast|Closed
ForecastCategoryName pick 40 = Omitted|Pipeline|Best Case|Most Likely|Commit|Closed
DefaultProbability percent 3,0
@
";

const ORGANIZATION: &str = "
Organization 00D Organization|Organization readonly
Name text 80
InstanceName text 5
OrganizationType pick 40
IsSandbox bool
@
";

/// A sales stage: name, probability, closed, won, forecast category and its shown name.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) probability: i32,
    pub(crate) closed: bool,
    pub(crate) won: bool,
    pub(crate) category: &'static str,
    pub(crate) category_name: &'static str,
}

const fn open(name: &'static str, probability: i32, category: &'static str, category_name: &'static str) -> Stage {
    Stage { name, probability, closed: false, won: false, category, category_name }
}

/// The default sales process.
pub(crate) const STAGES: &[Stage] = &[
    open("Prospecting", 10, "Pipeline", "Pipeline"),
    open("Qualification", 10, "Pipeline", "Pipeline"),
    open("Needs Analysis", 20, "Pipeline", "Pipeline"),
    open("Value Proposition", 50, "Pipeline", "Pipeline"),
    open("Id. Decision Makers", 60, "Pipeline", "Pipeline"),
    open("Perception Analysis", 70, "BestCase", "Best Case"),
    open("Proposal/Price Quote", 75, "BestCase", "Best Case"),
    open("Negotiation/Review", 90, "Forecast", "Commit"),
    Stage { name: "Closed Won", probability: 100, closed: true, won: true, category: "Closed", category_name: "Closed" },
    Stage { name: "Closed Lost", probability: 0, closed: true, won: false, category: "Omitted", category_name: "Omitted" },
];

#[cfg(test)]
mod tests {
    use super::OBJECTS;
    use crate::org::schema::Object;

    #[test]
    fn every_definition_is_well_formed() {
        for text in OBJECTS {
            if let Err(error) = Object::parse(text) {
                panic!("{error}");
            }
        }
    }
}
