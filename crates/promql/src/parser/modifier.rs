//! What stands after an operand (`[…]`, `offset`, `@`, `anchored`, `smoothed`) and after a binary
//! operator (`bool`, `on`, `group_left`, `fill`).

use super::*;

impl Parser {
    /// Reads everything that belongs to `expr`.
    pub(super) fn modifiers(&mut self, mut expr: Expr) -> Parsed<Expr> {
        let depth = self.depth;
        loop {
            let token = self.peek().clone();
            expr = match (token.kind, token.word().as_str()) {
                (Kind::LeftBracket, _) => {
                    self.depth += 1;
                    self.deeper(|parser| parser.bracket(expr))?
                }
                (Kind::At, _) => self.at_modifier(expr)?,
                (_, "offset") => self.offset(expr)?,
                (_, "anchored") => self.extension(expr, Extension::Anchored)?,
                (_, "smoothed") => self.extension(expr, Extension::Smoothed)?,
                _ => break,
            };
        }
        self.depth = depth;
        Ok(expr)
    }

    /// `[range]` or `[range:step]`
    fn bracket(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.advance();
        let range = self.duration_expr("subquery or range selector")?;
        let span = |parser: &Self, expr: &Expr| Span { start: expr.span().start, end: parser.last_end() };
        if self.take(Kind::Colon).is_none() {
            self.expect(Kind::RightBracket, "subquery or range", "\":\" or \"]\"")?;
            let span = span(self, &expr);
            return range_selector(expr, range, open.span, span);
        }
        let step = match self.peek().kind {
            Kind::RightBracket => None,
            _ => Some(self.duration_expr("subquery selector")?),
        };
        self.expect(Kind::RightBracket, "subquery selector", "\"]\"")?;
        let span = span(self, &expr);
        Ok(Expr::Subquery(Box::new(Subquery { expr, range, step, modifiers: Modifiers::default(), span })))
    }

    fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let offset = self.offset_duration()?;
        let end = self.last_end();
        let span = expr.span();
        let Some(modifiers) = modifiers_of(&mut expr, end) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector \
                           selector or a subquery";
            return Err(error(span, message.to_owned()));
        };
        if modifiers.offset.is_some() {
            return Err(error(span, "offset may not be set multiple times".to_owned()));
        }
        modifiers.offset = Some(offset);
        Ok(expr)
    }

    fn at_modifier(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let at = self.at_time()?;
        let end = self.last_end();
        let span = expr.span();
        let Some(modifiers) = modifiers_of(&mut expr, end) else {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector \
                           or a subquery";
            return Err(error(span, message.to_owned()));
        };
        if modifiers.at.is_some() {
            return Err(error(span, "@ <timestamp> may not be set multiple times".to_owned()));
        }
        modifiers.at = Some(at);
        Ok(expr)
    }

    fn at_time(&mut self) -> Parsed<At> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.take_word(word).is_some() {
                self.expect(Kind::LeftParen, "@", "timestamp")?;
                self.expect(Kind::RightParen, "@", "timestamp")?;
                return Ok(at);
            }
        }
        let negative = self.take_sign();
        let token = self.peek().clone();
        if !matches!(token.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected("@", "timestamp"));
        }
        self.advance();
        let value = number(&token)?;
        let ms = if negative { -value } else { value } * 1000.0;
        if ms.is_nan() || ms.abs() >= i64::MAX as f64 {
            return Err(error(token.span, format!("timestamp out of bounds for @ modifier: {value:.6}")));
        }
        Ok(At::Time(ms.round() as i64))
    }

    /// Takes a sign and says whether it was a minus.
    pub(super) fn take_sign(&mut self) -> bool {
        if self.take(Kind::Add).is_some() {
            return false;
        }
        self.take(Kind::Sub).is_some()
    }

    fn extension(&mut self, mut expr: Expr, extension: Extension) -> Parsed<Expr> {
        let keyword = self.advance();
        let word = extension.as_str();
        self.experimental(false, keyword.span, &format!("{word} modifier is experimental and not enabled"))?;
        let end = self.last_end();
        let span = expr.span();
        let selector = match &mut expr {
            Expr::Vector(selector) => {
                selector.span.end = end;
                selector
            }
            Expr::Matrix(matrix) => {
                matrix.span.end = end;
                &mut matrix.selector
            }
            Expr::Subquery(_) => {
                return Err(error(span, format!("{word} modifier is not supported for subqueries")));
            }
            _ => return Err(error(span, format!("{word} modifier not implemented for this expression"))),
        };
        if selector.extension.is_some() {
            return Err(error(span, "anchored and smoothed modifiers cannot be used together".to_owned()));
        }
        selector.extension = Some(extension);
        Ok(expr)
    }

    /// `bool`, then `on` or `ignoring`, then `group_left` or `group_right`, then `fill`.
    pub(super) fn binary_modifiers(&mut self, op: BinaryOp) -> Parsed<(bool, Matching)> {
        let return_bool = self.take_word("bool").is_some();
        let mut matching = Matching::default();
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let word = self.peek().word();
        if word == "on" || word == "ignoring" {
            self.advance();
            matching.on = word == "on";
            matching.labels = self.grouping_labels()?;
            let cardinality = match self.peek().word().as_str() {
                "group_left" => Some(Cardinality::ManyToOne),
                "group_right" => Some(Cardinality::OneToMany),
                _ => None,
            };
            if let Some(cardinality) = cardinality {
                self.advance();
                matching.cardinality = cardinality;
                if self.peek().kind == Kind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn fill_modifiers(&mut self, matching: &mut Matching) -> Parsed<()> {
        loop {
            let token = self.peek().clone();
            let (left, right) = match token.word().as_str() {
                "fill" => (true, true),
                "fill_left" => (true, false),
                "fill_right" => (false, true),
                _ => return Ok(()),
            };
            if self.peek_second().kind != Kind::LeftParen {
                return Ok(());
            }
            self.experimental(false, token.span, "binop fill modifiers are experimental and not enabled")?;
            self.advance();
            self.advance();
            let negative = self.take_sign();
            let literal = self.peek().clone();
            if !matches!(literal.kind, Kind::Number | Kind::Duration) {
                return Err(self.unexpected("fill modifier", "number"));
            }
            self.advance();
            let value = number(&literal)?;
            let value = if negative { -value } else { value };
            self.expect(Kind::RightParen, "fill modifier", "\")\"")?;
            for (wanted, slot) in [(left, &mut matching.fill_left), (right, &mut matching.fill_right)] {
                if wanted {
                    *slot = Some(value);
                }
            }
        }
    }
}

/// The modifiers that an expression may carry; its span is stretched to `end`.
fn modifiers_of(expr: &mut Expr, end: u32) -> Option<&mut Modifiers> {
    match expr {
        Expr::Vector(selector) => {
            selector.span.end = end;
            Some(&mut selector.modifiers)
        }
        Expr::Matrix(matrix) => {
            matrix.span.end = end;
            Some(&mut matrix.selector.modifiers)
        }
        Expr::Subquery(subquery) => {
            subquery.span.end = end;
            Some(&mut subquery.modifiers)
        }
        _ => None,
    }
}

fn range_selector(expr: Expr, range: DurationExpr, bracket: Span, span: Span) -> Parsed<Expr> {
    let Expr::Vector(selector) = expr else {
        return Err(error(bracket, "ranges only allowed for vector selectors".to_owned()));
    };
    let problem = if selector.modifiers.offset.is_some() {
        Some("no offset modifiers allowed before range")
    } else if selector.modifiers.at.is_some() {
        Some("no @ modifiers allowed before range")
    } else {
        selector.extension.map(|extension| match extension {
            Extension::Anchored => "no anchored modifiers allowed before range",
            Extension::Smoothed => "no smoothed modifiers allowed before range",
        })
    };
    match problem {
        Some(message) => Err(error(bracket, message.to_owned())),
        None => Ok(Expr::Matrix(MatrixSelector { selector, range, span })),
    }
}
