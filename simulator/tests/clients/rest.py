"""Drives simple-salesforce against a running simulator: URL, client id, secret, user name, key file, CA file."""

import sys

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

url, client_id, secret, username, key_file = sys.argv[1:6]


class ToSimulator(requests.adapters.HTTPAdapter):
    """The client writes https://….salesforce.com itself; this sends it to the simulator."""

    def send(self, request, **options):
        request.url = url + "/" + request.url.split("/", 3)[3]
        return super().send(request, **options)


session = requests.Session()
session.trust_env = False
session.mount("https://", ToSimulator())

by_key = Salesforce(username=username, consumer_key=client_id, privatekey_file=key_file, session=session, version="66.0")
assert by_key.session_id.startswith("00D"), by_key.session_id

crm = Salesforce(consumer_key=client_id, consumer_secret=secret, domain="simulator.my", session=session, version="66.0")
made = crm.Account.create({"Name": "Acme", "Concord_Id__c": "k-1", "BillingCity": "Oslo"})
assert made["success"] and len(made["id"]) == 18, made
assert crm.Account.get(made["id"])["BillingAddress"]["city"] == "Oslo"
assert crm.Account.get_by_custom_id("Concord_Id__c", "k-1")["Name"] == "Acme"
assert crm.Account.update(made["id"], {"Phone": "1"}) == 204
assert crm.Account.upsert("Concord_Id__c/k-1", {"Name": "Acme 2"}) in (200, 204)
assert crm.Account.upsert("Concord_Id__c/k-2", {"Name": "Beta"}) == 201
found = crm.query("SELECT Id, Name FROM Account WHERE Name LIKE 'Acme%'")
assert found["totalSize"] == 1 and found["records"][0]["Id"] == made["id"], found
assert len(list(crm.query_all_iter("SELECT Id FROM Account"))) == 2
assert any(field["name"] == "Concord_Id__c" for field in crm.Account.describe()["fields"])
assert any(thing["name"] == "Contact" for thing in crm.describe()["sobjects"])
assert crm.limits()["DailyApiRequests"]["Max"] > 0
assert crm.api_usage["api-usage"].used > 0, crm.api_usage
try:
    crm.Contact.create({"FirstName": "A"})
    raise SystemExit("a contact without a name was taken")
except SalesforceMalformedRequest as refused:
    assert refused.content[0]["errorCode"] == "REQUIRED_FIELD_MISSING", refused
assert crm.Account.delete(made["id"]) == 204
try:
    crm.Account.get(made["id"])
    raise SystemExit("a deleted account was shown")
except SalesforceResourceNotFound:
    pass

results = crm.bulk2.Account.upsert(records=[{"Concord_Id__c": f"b-{n}", "Name": f"Bulk {n}"} for n in range(30)], external_id_field="Concord_Id__c")
assert sum(job["numberRecordsProcessed"] for job in results) == 30, results
assert sum(job["numberRecordsFailed"] for job in results) == 0, results
pages = list(crm.bulk2.Account.query("SELECT Id, Name FROM Account WHERE Name LIKE 'Bulk%'", max_records=20))
assert sum(page.count("Bulk") for page in pages) == 30, pages

soap = Salesforce(username=username, password="simulator-password", security_token="", session=session, version="66.0")
assert soap.query("SELECT COUNT() FROM Account")["totalSize"] == 31
print("ok")
