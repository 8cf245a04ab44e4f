//! Durations in brackets and after `offset`.

use super::*;

const EXPECTED: &str = "number, duration, step(), or range()";
const NOT_ENABLED: &str = "experimental duration expression is not enabled";

/// `+ -`, `* / %`, `^`
fn duration_op(kind: Kind) -> Option<(DurationOp, u8)> {
    Some(match kind {
        Kind::Add => (DurationOp::Add, 1),
        Kind::Sub => (DurationOp::Sub, 1),
        Kind::Mul => (DurationOp::Mul, 2),
        Kind::Div => (DurationOp::Div, 2),
        Kind::Mod => (DurationOp::Mod, 2),
        Kind::Pow => (DurationOp::Pow, 3),
        _ => return None,
    })
}

/// Precedence of a sign: looser than `^`, as in expressions.
const DURATION_SIGN: u8 = 2;

impl Parser {
    /// A range or step, above 0 where that is known already.
    pub(super) fn duration_expr(&mut self, context: &str) -> Parsed<DurationExpr> {
        let start = self.peek().span;
        let expr = self.duration_sum(0, context)?;
        self.experimental(expr.is_literal(), start, NOT_ENABLED)?;
        if let DurationExpr::Literal { seconds, .. } = expr
            && seconds <= 0.0
        {
            return Err(error(start, "duration must be greater than 0".to_owned()));
        }
        Ok(expr)
    }

    /// What `offset` takes: a signed literal, `step()` and the like, or an expression in parentheses.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        let start = self.peek().span;
        let negative = self.take_sign();
        let value = self.duration_atom("offset")?;
        let value = if negative { negate(value) } else { value };
        self.experimental(value.is_literal(), start, NOT_ENABLED)?;
        Ok(value)
    }

    fn duration_sum(&mut self, min: u8, context: &str) -> Parsed<DurationExpr> {
        self.deeper(|parser| {
            let mut left = parser.duration_operand(context)?;
            let depth = parser.depth;
            while let Some((op, precedence)) = duration_op(parser.peek().kind)
                && precedence >= min
            {
                parser.depth += 1;
                parser.advance();
                let next = if op == DurationOp::Pow { precedence } else { precedence + 1 };
                let right = parser.duration_sum(next, context)?;
                left = DurationExpr::Binary(op, Box::new(left), Box::new(right));
            }
            parser.depth = depth;
            Ok(left)
        })
    }

    fn duration_operand(&mut self, context: &str) -> Parsed<DurationExpr> {
        if !matches!(self.peek().kind, Kind::Add | Kind::Sub) {
            return self.duration_atom(context);
        }
        let negative = self.take_sign();
        let inner = self.duration_sum(DURATION_SIGN + 1, context)?;
        Ok(if negative { negate(inner) } else { inner })
    }

    fn duration_atom(&mut self, context: &str) -> Parsed<DurationExpr> {
        let token = self.peek().clone();
        match (token.kind, token.word().as_str()) {
            (Kind::Number | Kind::Duration, _) => {
                self.advance();
                Ok(DurationExpr::Literal { seconds: number(&token)?, span: token.span })
            }
            (Kind::LeftParen, _) => {
                self.advance();
                let inner = self.duration_sum(0, context)?;
                self.expect(Kind::RightParen, context, "\")\"")?;
                Ok(DurationExpr::Paren(Box::new(inner)))
            }
            (_, "step" | "range") => {
                self.advance();
                self.expect(Kind::LeftParen, context, "\"(\"")?;
                self.expect(Kind::RightParen, context, "\")\"")?;
                Ok(if token.word() == "step" { DurationExpr::Step } else { DurationExpr::Range })
            }
            (_, "min_of" | "max_of") => {
                self.advance();
                self.expect(Kind::LeftParen, context, "\"(\"")?;
                let a = Box::new(self.duration_sum(0, context)?);
                self.expect(Kind::Comma, context, "\",\"")?;
                let b = Box::new(self.duration_sum(0, context)?);
                self.expect(Kind::RightParen, context, "\")\"")?;
                Ok(if token.word() == "min_of" {
                    DurationExpr::MinOf(a, b)
                } else {
                    DurationExpr::MaxOf(a, b)
                })
            }
            _ => Err(self.unexpected(context, EXPECTED)),
        }
    }
}

fn negate(duration: DurationExpr) -> DurationExpr {
    match duration {
        DurationExpr::Literal { seconds, span } => DurationExpr::Literal { seconds: -seconds, span },
        other => DurationExpr::Negative(Box::new(other)),
    }
}
