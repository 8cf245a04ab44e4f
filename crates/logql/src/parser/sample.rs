//! Aggregations, operators and literals.

use super::Parser;
use crate::{
    ParseError,
    ast::{
        BinaryOp, Expr, Group, Grouping, LabelReplace, LogExpr, Matching, RangeOp, SampleExpr,
        VectorAggregation, VectorOp,
    },
    lexer::Kind,
    validate,
};
use model::go_regex::{self, Dot};

/// How tightly an operator binds; only `^` binds to the right.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => 5,
        BinaryOp::Pow => 6,
        _ => 3,
    }
}

impl Parser<'_> {
    /// An expression whose operators bind at least as tightly as `least`.
    pub(super) fn expression(&mut self, least: u8) -> Result<Expr, ParseError> {
        let mut lhs = self.nested(Self::operand)?;
        while let Some(op) = self.peek_operator() {
            if precedence(op) < least {
                break;
            }
            self.count_operator()?;
            self.advance();
            let (returns_bool, matching) = self.modifiers()?;
            let next = precedence(op) + u8::from(op != BinaryOp::Pow);
            let rhs = self.nested(|parser| parser.expression(next))?;
            lhs = Expr::Sample(validate::binary(op, lhs, rhs, returns_bool, matching)?);
        }
        Ok(lhs)
    }

    fn peek_operator(&self) -> Option<BinaryOp> {
        match &self.peek().kind {
            Kind::Sign(sign) => BinaryOp::from_name(sign),
            Kind::Identifier(word) => BinaryOp::from_name(word),
            _ => None,
        }
    }

    /// `bool`, `on (…)`, `ignoring (…)`, `group_left (…)`.
    fn modifiers(&mut self) -> Result<(bool, Option<Matching>), ParseError> {
        let returns_bool = self.take_word("bool");
        let on = self.is_word("on");
        if !on && !self.is_word("ignoring") {
            return Ok((returns_bool, None));
        }
        self.advance();
        let labels = self.label_list()?;
        let left = self.is_word("group_left");
        let group = if left || self.is_word("group_right") {
            self.advance();
            let include = if self.lists_labels() { self.label_list()? } else { Vec::new() };
            Some(Group { left, include })
        } else {
            None
        };
        Ok((returns_bool, Some(Matching { on, labels, group })))
    }

    /// Whether `(a, b)` follows rather than a parenthesised operand.
    fn lists_labels(&self) -> bool {
        let inner = matches!(self.peek_after(1), Kind::Sign(")"))
            || matches!(self.peek_after(1), Kind::Identifier(_))
                && matches!(self.peek_after(2), Kind::Sign(")" | ","));
        self.is_sign("(") && inner
    }

    fn operand(&mut self) -> Result<Expr, ParseError> {
        match self.peek().kind.clone() {
            Kind::Sign("{") => Ok(Expr::Log(self.log_query()?)),
            Kind::Sign("(") => {
                self.advance();
                let inner = self.nested(|parser| parser.expression(0))?;
                self.expect_sign(")")?;
                match inner {
                    // A parenthesised selector may go on as a pipeline.
                    Expr::Log(LogExpr { matchers, stages }) => {
                        let mut log = LogExpr { matchers, stages };
                        self.pipeline(&mut log.stages)?;
                        Ok(Expr::Log(log))
                    }
                    sample => Ok(sample),
                }
            }
            Kind::Number(text) => {
                self.advance();
                literal(&text, 1.0)
            }
            Kind::Sign(sign @ ("+" | "-")) => {
                self.advance();
                match self.peek().kind.clone() {
                    Kind::Number(text) => {
                        self.advance();
                        literal(&text, if sign == "-" { -1.0 } else { 1.0 })
                    }
                    _ => self.unexpected("NUMBER"),
                }
            }
            Kind::Identifier(word) => self.call(&word).map(Expr::Sample),
            _ => self.unexpected(""),
        }
    }

    fn call(&mut self, word: &str) -> Result<SampleExpr, ParseError> {
        let opens = matches!(self.peek_after(1), Kind::Sign("("));
        let groups =
            matches!(self.peek_after(1), Kind::Identifier(next) if next == "by" || next == "without");
        if let Some(op) = VectorOp::from_name(word)
            && (opens || groups)
        {
            self.advance();
            return self.vector_aggregation(op);
        }
        if !opens {
            return self.unexpected("");
        }
        if let Some(op) = RangeOp::from_name(word) {
            self.advance();
            return self.range_aggregation(op);
        }
        match word {
            "label_replace" => {
                self.advance();
                self.label_replace()
            }
            "vector" => {
                self.advance();
                self.expect_sign("(")?;
                let Kind::Number(text) = self.peek().kind.clone() else {
                    return self.unexpected("NUMBER");
                };
                self.advance();
                self.expect_sign(")")?;
                Ok(SampleExpr::VectorLiteral(number(&text)?))
            }
            _ => self.unexpected(""),
        }
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = self.is_word("without");
        if !without && !self.is_word("by") {
            return Ok(None);
        }
        self.advance();
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Result<SampleExpr, ParseError> {
        let before = self.grouping()?;
        self.expect_sign("(")?;
        let parameter = match (self.peek().kind.clone(), self.peek_after(1)) {
            (Kind::Number(text), Kind::Sign(",")) => {
                self.advance();
                self.advance();
                Some(text)
            }
            _ => None,
        };
        let inner = self.sample()?;
        self.expect_sign(")")?;
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        let parameter = validate::vector_parameter(op, parameter.as_deref())?;
        if matches!(op, VectorOp::Sort | VectorOp::SortDesc) && grouping.is_some() {
            return Err(ParseError::new("sort and sort_desc doesn't allow grouping by "));
        }
        if op == VectorOp::ApproxTopk && grouping.is_some() {
            return Err(ParseError::new("grouping not allowed for approx_topk aggregation"));
        }
        Ok(SampleExpr::Vector(VectorAggregation { op, parameter, grouping, inner: Box::new(inner) }))
    }

    fn range_aggregation(&mut self, op: RangeOp) -> Result<SampleExpr, ParseError> {
        self.expect_sign("(")?;
        let parameter = match (self.peek().kind.clone(), self.peek_after(1)) {
            (Kind::Number(text), Kind::Sign(",")) => {
                self.advance();
                self.advance();
                Some(number(&text)?)
            }
            (Kind::Sign("{" | "("), _) => None,
            _ => return self.unexpected("NUMBER or { or ("),
        };
        let mut window = self.window()?;
        self.expect_sign(")")?;
        window.op = op;
        window.parameter = parameter;
        window.grouping = self.grouping()?;
        validate::range(&window)?;
        Ok(SampleExpr::Range(window))
    }

    fn label_replace(&mut self) -> Result<SampleExpr, ParseError> {
        self.expect_sign("(")?;
        let inner = self.sample()?;
        let mut texts = Vec::with_capacity(4);
        for _ in 0..4 {
            self.expect_sign(",")?;
            texts.push(self.take_string()?);
        }
        self.expect_sign(")")?;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap_or_default();
        let replace =
            LabelReplace { inner, destination: next(), replacement: next(), source: next(), regex: next() };
        if let Err(reason) = go_regex::compile_anchored(&replace.regex, Dot::NotNewline) {
            return Err(ParseError::new(format!("invalid regex in label_replace: {reason}")));
        }
        Ok(SampleExpr::LabelReplace(Box::new(replace)))
    }
}

fn literal(text: &str, sign: f64) -> Result<Expr, ParseError> {
    Ok(Expr::Sample(SampleExpr::Literal(sign * number(text)?)))
}

pub(super) fn number(text: &str) -> Result<f64, ParseError> {
    text.parse().map_err(|_| {
        let reason = format!("strconv.ParseFloat: parsing {text:?}: invalid syntax");
        ParseError::new(format!("unable to parse literal as a float: {reason}"))
    })
}
