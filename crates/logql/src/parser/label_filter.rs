//! Conditions on labels: `or` binds loosest; `and`, `,` and juxtaposition are the same.

use super::{Parser, RESERVED, sample::number};
use crate::{
    ParseError,
    ast::{CompareOp, CompareValue, LabelFilter},
    lexer::Kind,
};

impl Parser<'_> {
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        let mut left = self.conjunction()?;
        while self.take_word("or") {
            let right = self.conjunction()?;
            left = LabelFilter::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<LabelFilter, ParseError> {
        let mut left = self.condition()?;
        loop {
            let joined = self.take_word("and") || self.take_sign(",");
            let continues = self.is_sign("(")
                || matches!(&self.peek().kind, Kind::Identifier(word) if !RESERVED.contains(&word.as_str()));
            if !joined && !continues {
                return Ok(left);
            }
            let right = self.condition()?;
            left = LabelFilter::And(Box::new(left), Box::new(right));
        }
    }

    fn condition(&mut self) -> Result<LabelFilter, ParseError> {
        if self.take_sign("(") {
            let inner = self.nested(Self::label_filter)?;
            if !self.take_sign(")") {
                return self.unexpected("");
            }
            return Ok(inner);
        }
        self.count_condition()?;
        let label = self.take_identifier_or("")?;
        let Kind::Sign(sign) = self.peek().kind else {
            return self.unexpected("");
        };
        let value = self.peek_after(1).clone();
        match (sign, value) {
            ("=" | "!=", Kind::Identifier(word)) if word == "ip" => {
                self.advance();
                self.advance();
                self.expect_sign("(")?;
                let pattern = self.take_string()?;
                self.expect_sign(")")?;
                Ok(LabelFilter::Ip { label, negative: sign == "!=", pattern })
            }
            ("=" | "!=", Kind::String(_) | Kind::Identifier(_)) | ("=~" | "!~", _) => {
                Ok(LabelFilter::Text(self.matcher(label)?))
            }
            _ => self.comparison(label, sign),
        }
    }

    fn comparison(&mut self, label: String, sign: &str) -> Result<LabelFilter, ParseError> {
        let op = if sign == "=" { Some(CompareOp::Equal) } else { CompareOp::from_name(sign) };
        let Some(op) = op else {
            return self.unexpected("");
        };
        self.advance();
        let negative = self.is_sign("-");
        if negative || self.is_sign("+") {
            self.advance();
        }
        let value = match self.peek().kind.clone() {
            Kind::Number(text) => {
                let value = number(&text)?;
                CompareValue::Number(if negative { -value } else { value })
            }
            Kind::Duration(nanoseconds) => {
                CompareValue::Duration(if negative { -nanoseconds } else { nanoseconds })
            }
            Kind::Bytes(bytes) if !negative => CompareValue::Bytes(bytes),
            _ => return self.unexpected(""),
        };
        self.advance();
        Ok(LabelFilter::Compare { label, op, value })
    }
}
