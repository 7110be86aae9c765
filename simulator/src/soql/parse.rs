//! From tokens to a [`Query`].

use super::token::{Kind, Token, split};
use super::{Condition, Literal, Operator, Order, Path, Query, Selected, pointed};
use crate::error::ApiError;
use crate::org::time::{civil_from_days, days_from_civil, parse_date, parse_datetime};

/// Reads a statement; `today` (days since 1970) is what date literals count from.
pub(crate) fn parse(text: &str, today: i32) -> Result<Query, ApiError> {
    if text.len() > 100_000 {
        return Err(ApiError::new(400, "QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100000 characters."));
    }
    let tokens = split(text)?;
    let mut parser = Parser { text, tokens, next: 0, today };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    today: i32,
}

impl Parser<'_> {
    fn query(&mut self) -> Result<Query, ApiError> {
        self.keyword("SELECT")?;
        let mut select = vec![self.selected()?];
        while self.sign(",") {
            select.push(self.selected()?);
        }
        self.keyword("FROM")?;
        let from_at = self.peek().map_or(self.text.len(), |token| token.at);
        let from = self.word()?;
        if let Some(Token { kind: Kind::Word(word), .. }) = self.peek()
            && !["WHERE", "ORDER", "LIMIT", "OFFSET", "WITH", "FOR", "ALL", "GROUP", "USING"]
                .iter()
                .any(|keyword| word.eq_ignore_ascii_case(keyword))
        {
            self.next += 1;
        }
        let condition = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        if self.accept("WITH") {
            self.next += 1;
        }
        let mut order = Vec::new();
        if self.accept("ORDER") {
            self.keyword("BY")?;
            order.push(self.order()?);
            while self.sign(",") {
                order.push(self.order()?);
            }
        }
        let limit = if self.accept("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.accept("OFFSET") { self.count()? } else { 0 };
        if self.accept("FOR") {
            self.next += 1;
        }
        if self.accept("ALL") {
            self.keyword("ROWS")?;
        }
        Ok(Query { text: self.text.to_owned(), select, from, from_at, condition, order, limit, offset })
    }

    fn selected(&mut self) -> Result<Selected, ApiError> {
        if self.sign("(") {
            let query = self.query()?;
            self.expect(")")?;
            return Ok(Selected::Children(Box::new(query)));
        }
        let path = self.path()?;
        if !self.sign("(") {
            return Ok(Selected::Field(path));
        }
        let name = path.names.join(".").to_uppercase();
        if name == "COUNT" && self.sign(")") {
            return Ok(Selected::Count);
        }
        let which = self.word()?.to_uppercase();
        self.expect(")")?;
        match (name.as_str(), which.as_str()) {
            ("FIELDS", "ALL") => Ok(Selected::AllFields),
            ("FIELDS", "STANDARD") => Ok(Selected::StandardFields),
            ("FIELDS", "CUSTOM") => Ok(Selected::CustomFields),
            _ => Err(ApiError::new(
                400,
                "MALFORMED_QUERY",
                pointed(self.text, path.at, &format!("this simulator has no function {name}({which})")),
            )),
        }
    }

    fn condition(&mut self) -> Result<Condition, ApiError> {
        let first = self.unary()?;
        if self.at("AND") {
            let mut all = vec![first];
            while self.accept("AND") {
                all.push(self.unary()?);
            }
            if self.at("OR") {
                return Err(self.unexpected());
            }
            return Ok(Condition::And(all));
        }
        if self.at("OR") {
            let mut any = vec![first];
            while self.accept("OR") {
                any.push(self.unary()?);
            }
            if self.at("AND") {
                return Err(self.unexpected());
            }
            return Ok(Condition::Or(any));
        }
        Ok(first)
    }

    fn unary(&mut self) -> Result<Condition, ApiError> {
        if self.accept("NOT") {
            return Ok(Condition::Not(Box::new(self.unary()?)));
        }
        if self.sign("(") {
            let inner = self.condition()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => {
                self.expect("(")?;
                let mut values = vec![self.literal()?];
                while self.sign(",") {
                    values.push(self.literal()?);
                }
                self.expect(")")?;
                values
            }
            _ => vec![self.literal()?],
        };
        Ok(Condition::Compare(path, operator, values))
    }

    fn operator(&mut self) -> Result<Operator, ApiError> {
        for (sign, operator) in [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ] {
            if self.sign(sign) {
                return Ok(operator);
            }
        }
        if self.accept("LIKE") {
            return Ok(Operator::Like);
        }
        if self.accept("IN") {
            return Ok(Operator::In);
        }
        if self.accept("NOT") {
            self.keyword("IN")?;
            return Ok(Operator::NotIn);
        }
        Err(self.unexpected())
    }

    fn literal(&mut self) -> Result<Literal, ApiError> {
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected()) };
        self.next += 1;
        let word = match token.kind {
            Kind::Text(text) => return Ok(Literal::Text(text)),
            Kind::Word(word) => word,
            Kind::Sign(_) => {
                self.next -= 1;
                return Err(self.unexpected());
            }
        };
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "null" => return Ok(Literal::Null),
            "true" => return Ok(Literal::Bool(true)),
            "false" => return Ok(Literal::Bool(false)),
            _ => {}
        }
        if let Some(days) = parse_date(&word) {
            return Ok(Literal::Date(days));
        }
        if let Some(ms) = parse_datetime(&word) {
            return Ok(Literal::DateTime(ms));
        }
        if let Ok(number) = word.parse::<f64>()
            && number.is_finite()
        {
            return Ok(Literal::Number(number));
        }
        named_days(&lower, self.today).ok_or_else(|| {
            self.next -= 1;
            self.unexpected()
        })
    }

    fn order(&mut self) -> Result<Order, ApiError> {
        let path = self.path()?;
        let descending = if self.accept("DESC") {
            true
        } else {
            self.accept("ASC");
            false
        };
        let mut nulls_last = descending;
        if self.accept("NULLS") {
            nulls_last = !self.accept("FIRST");
            if nulls_last {
                self.keyword("LAST")?;
            }
        }
        Ok(Order { path, descending, nulls_last })
    }

    fn path(&mut self) -> Result<Path, ApiError> {
        let at = self.peek().map_or(self.text.len(), |token| token.at);
        let word = self.word()?;
        Ok(Path { names: word.split('.').map(str::to_owned).collect(), at })
    }

    fn count(&mut self) -> Result<usize, ApiError> {
        let word = self.word()?;
        word.parse().map_err(|_| {
            self.next -= 1;
            self.unexpected()
        })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn word(&mut self) -> Result<String, ApiError> {
        match self.peek() {
            Some(Token { kind: Kind::Word(word), .. }) => {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn at(&self, keyword: &str) -> bool {
        matches!(self.peek(), Some(Token { kind: Kind::Word(word), .. }) if word.eq_ignore_ascii_case(keyword))
    }

    fn accept(&mut self, keyword: &str) -> bool {
        let found = self.at(keyword);
        self.next += usize::from(found);
        found
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), ApiError> {
        if self.accept(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token { kind: Kind::Sign(other), .. }) if *other == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), ApiError> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> ApiError {
        let (at, shown) = match self.peek() {
            None => (self.text.len(), "<EOF>".to_owned()),
            Some(token) => (
                token.at,
                match &token.kind {
                    Kind::Word(word) => word.clone(),
                    Kind::Text(text) => format!("'{text}'"),
                    Kind::Sign(sign) => (*sign).to_owned(),
                },
            ),
        };
        ApiError::new(400, "MALFORMED_QUERY", pointed(self.text, at, &format!("unexpected token: '{shown}'")))
    }
}

fn named_days(name: &str, today: i32) -> Option<Literal> {
    let (year, month, _) = civil_from_days(i64::from(today));
    let first = |year: i64, month: i64| i32::try_from(days_from_civil(year, month, 1)).unwrap_or(today);
    let next_month = if month == 12 { first(year + 1, 1) } else { first(year, month + 1) };
    let days = match name {
        "today" => (today, today),
        "yesterday" => (today - 1, today - 1),
        "tomorrow" => (today + 1, today + 1),
        "this_month" => (first(year, month), next_month - 1),
        "this_year" => (first(year, 1), first(year + 1, 1) - 1),
        _ => {
            let (name, count) = name.split_once(':')?;
            let count: i32 = count.parse().ok()?;
            match name {
                "last_n_days" => (today - count + 1, today),
                "next_n_days" => (today + 1, today + count),
                "n_days_ago" => (today - count, today - count),
                _ => return None,
            }
        }
    };
    Some(Literal::Days(days.0, days.1))
}
