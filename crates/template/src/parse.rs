//! Tokens into trees, with Go's checks and messages.

use crate::{
    Functions, ParseError,
    error::line_and_column,
    lexer::{Kind, Number, Token, lex, parse_number},
    tree::{Branch, Command, Node, Operand, OperandKind, Pipeline, Tree},
};
use std::sync::Arc;

/// Deepest nesting of blocks and parentheses.
pub(crate) const NESTING_MAX: usize = 100;

/// A text and what it defines on the side.
pub(crate) struct Parsed {
    pub(crate) main: Tree,
    pub(crate) definitions: Vec<Tree>,
}

/// Parses `text`, named `name` in messages.
pub(crate) fn parse(name: &str, text: &str, functions: &Functions) -> Result<Parsed, ParseError> {
    let source: Arc<str> = Arc::from(text);
    let mut parser = Parser {
        name,
        source: source.clone(),
        functions,
        tokens: lex(text),
        next: 0,
        variables: vec!["$".to_owned()],
        range_depth: 0,
        nesting: 0,
        definitions: Vec::new(),
    };
    let (body, end) = parser.list(Within::Top)?;
    if end != End::Eof {
        return Err(parser.error_at(0, format!("unexpected {}", end.text())));
    }
    let main = parser.tree(name, body);
    Ok(Parsed { main, definitions: parser.definitions })
}

struct Parser<'a> {
    name: &'a str,
    source: Arc<str>,
    functions: &'a Functions,
    tokens: Vec<Token>,
    next: usize,
    /// Variables in scope, with their `$`.
    variables: Vec<String>,
    range_depth: usize,
    nesting: usize,
    definitions: Vec<Tree>,
}

/// Where a list of nodes stands.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Top,
    Block,
}

/// What ended a list of nodes.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Eof,
    Close,
    Else,
}

impl End {
    fn text(self) -> &'static str {
        match self {
            End::Eof => "EOF",
            End::Close => "{{end}}",
            End::Else => "{{else}}",
        }
    }
}

impl Parser<'_> {
    fn tree(&self, name: &str, body: Vec<Node>) -> Tree {
        Tree { name: name.to_owned(), source_name: self.name.to_owned(), source: self.source.clone(), body }
    }

    // --- errors

    fn error_at(&self, position: usize, message: impl Into<String>) -> ParseError {
        let (line, column) = line_and_column(&self.source, position);
        ParseError { name: self.name.to_owned(), line, column, message: message.into() }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        let position = self.tokens[self.next.saturating_sub(1)].position;
        Err(self.error_at(position, message))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, ParseError> {
        let message = match token.kind {
            Kind::Error => token.text.clone(),
            _ => format!("unexpected {} in {context}", describe(token)),
        };
        Err(self.error_at(token.position, message))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.nesting >= NESTING_MAX {
            return self.fail("max expression depth exceeded");
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    // --- tokens

    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    /// Takes a token; the last one (end or error) is never passed.
    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len());
        token
    }

    fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_non_space(&mut self) -> Token {
        self.skip_spaces();
        self.peek().clone()
    }

    fn take_non_space(&mut self) -> Token {
        self.skip_spaces();
        self.take()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token, ParseError> {
        let token = self.take_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Whether the keyword is next; takes it if so.
    fn take_keyword(&mut self, keyword: &str) -> bool {
        let token = self.peek_non_space();
        let found = token.kind == Kind::Keyword && token.text == keyword;
        if found {
            self.next += 1;
        }
        found
    }

    // --- blocks

    /// Reads nodes up to an `end`, an `else` or the end of the text.
    fn list(&mut self, within: Within) -> Result<(Vec<Node>, End), ParseError> {
        let mut nodes = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::Text => nodes.push(Node::Text(token.text)),
                Kind::Eof if within == Within::Top => return Ok((nodes, End::Eof)),
                Kind::Eof => return Err(self.error_at(token.position, "unexpected EOF")),
                Kind::LeftDelim => {
                    if self.take_keyword("end") {
                        self.expect(Kind::RightDelim, "end")?;
                        return self.ended(nodes, End::Close, within);
                    }
                    if self.take_keyword("else") {
                        return self.ended(nodes, End::Else, within);
                    }
                    nodes.extend(self.action()?);
                }
                _ => return self.unexpected(&token, "input"),
            }
        }
    }

    fn ended(&self, nodes: Vec<Node>, end: End, within: Within) -> Result<(Vec<Node>, End), ParseError> {
        if within == Within::Top { self.fail(format!("unexpected {}", end.text())) } else { Ok((nodes, end)) }
    }

    /// Reads what follows `{{`, other than `end` and `else`.
    fn action(&mut self) -> Result<Option<Node>, ParseError> {
        let token = self.peek_non_space();
        if token.kind != Kind::Keyword {
            // Variables declared in an action live to the end of the enclosing block.
            let pipeline = self.pipeline("command", Kind::RightDelim)?;
            return Ok(Some(Node::Action(pipeline)));
        }
        self.next += 1;
        self.nested(|parser| match token.text.as_str() {
            "if" => Ok(Some(Node::If(parser.branch("if")?))),
            "with" => Ok(Some(Node::With(parser.branch("with")?))),
            "range" => Ok(Some(Node::Range(parser.branch("range")?))),
            "break" => parser.loop_control("break", Node::Break).map(Some),
            "continue" => parser.loop_control("continue", Node::Continue).map(Some),
            "define" => parser.define().map(|()| None),
            "block" => parser.block(token.position).map(Some),
            "template" => parser.template(token.position).map(Some),
            _ => parser.unexpected(&token, "command"),
        })
    }

    fn branch(&mut self, keyword: &str) -> Result<Branch, ParseError> {
        let scope = self.variables.len();
        let pipeline = self.pipeline(keyword, Kind::RightDelim)?;
        let loops = usize::from(keyword == "range");
        self.range_depth += loops;
        let (body, end) = self.list(Within::Block)?;
        self.range_depth -= loops;
        let otherwise = if end == End::Else { self.otherwise(keyword)? } else { Vec::new() };
        self.variables.truncate(scope);
        Ok(Branch { pipeline, body, otherwise })
    }

    /// Reads what follows `else`: a block, or another `if` or `with` that shares our `end`.
    fn otherwise(&mut self, keyword: &str) -> Result<Vec<Node>, ParseError> {
        if keyword == "if" && self.take_keyword("if") {
            return self.nested(|parser| Ok(vec![Node::If(parser.branch("if")?)]));
        }
        if keyword == "with" && self.take_keyword("with") {
            return self.nested(|parser| Ok(vec![Node::With(parser.branch("with")?)]));
        }
        self.expect(Kind::RightDelim, "else")?;
        let (body, end) = self.list(Within::Block)?;
        if end != End::Close {
            return self.fail(format!("expected end; found {}", end.text()));
        }
        Ok(body)
    }

    fn loop_control(&mut self, keyword: &str, node: Node) -> Result<Node, ParseError> {
        let token = self.take_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, &format!("{{{{{keyword}}}}}"));
        }
        if self.range_depth == 0 {
            return self.fail(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn define(&mut self) -> Result<(), ParseError> {
        if self.nesting > 1 {
            return self.fail("unexpected {{define}}");
        }
        let name = self.template_name("define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.definition(&name, "define clause")
    }

    /// Reads the body of `define` or `block` as a template of its own scope.
    fn definition(&mut self, name: &str, context: &str) -> Result<(), ParseError> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let (body, end) = self.list(Within::Block)?;
        if end != End::Close {
            return self.fail(format!("unexpected {} in {context}", end.text()));
        }
        self.variables = outer;
        self.range_depth = range_depth;
        let tree = self.tree(name, body);
        self.definitions.push(tree);
        Ok(())
    }

    fn block(&mut self, position: usize) -> Result<Node, ParseError> {
        let name = self.template_name("block clause")?;
        let argument = Some(self.pipeline("block clause", Kind::RightDelim)?);
        self.definition(&name, "block clause")?;
        Ok(Node::Template { position, name, argument })
    }

    fn template(&mut self, position: usize) -> Result<Node, ParseError> {
        let name = self.template_name("template clause")?;
        let argument = if self.peek_non_space().kind == Kind::RightDelim {
            self.next += 1;
            None
        } else {
            Some(self.pipeline("template clause", Kind::RightDelim)?)
        };
        Ok(Node::Template { position, name, argument })
    }

    fn template_name(&mut self, context: &str) -> Result<String, ParseError> {
        let token = self.take_non_space();
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(&token),
            _ => self.unexpected(&token, context),
        }
    }

    // --- pipelines

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipeline, ParseError> {
        let position = self.peek_non_space().position;
        let (variables, assigns) = self.declarations(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.peek_non_space();
            if token.kind == end {
                self.next += 1;
                break;
            }
            if !starts_operand(token.kind) {
                self.next += 1;
                return self.unexpected(&token, context);
            }
            commands.push(self.command()?);
        }
        self.check_commands(&commands, context)?;
        Ok(Pipeline { position, variables, assigns, commands })
    }

    /// Reads `$x :=`, `$x =`, or in a range `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool), ParseError> {
        let mut names = Vec::new();
        loop {
            let start = self.next;
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok((names, false));
            }
            self.next += 1;
            let sign = self.peek_non_space();
            match sign.kind {
                Kind::Assign | Kind::Declare => {
                    self.next += 1;
                    let assigns = sign.kind == Kind::Assign;
                    names.push(self.declare(&variable, assigns)?);
                    return Ok((names, assigns));
                }
                Kind::Comma => {
                    self.next += 1;
                    if context != "range" || !names.is_empty() {
                        return self.fail(format!("too many declarations in {context}"));
                    }
                    names.push(self.declare(&variable, false)?);
                    if self.peek_non_space().kind != Kind::Variable {
                        return self.fail("range can only initialize variables");
                    }
                }
                _ => {
                    // Not a declaration after all: the variable is an operand.
                    self.next = start;
                    return Ok((names, false));
                }
            }
        }
    }

    fn declare(&mut self, variable: &Token, assigns: bool) -> Result<String, ParseError> {
        if assigns {
            self.check_variable(variable)?;
        } else {
            self.variables.push(variable.text.clone());
        }
        Ok(variable.text.clone())
    }

    fn check_variable(&self, variable: &Token) -> Result<(), ParseError> {
        if self.variables.contains(&variable.text) {
            return Ok(());
        }
        Err(self.error_at(variable.position, format!("undefined variable {:?}", variable.text)))
    }

    fn check_commands(&self, commands: &[Command], context: &str) -> Result<(), ParseError> {
        if commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (i, command) in commands.iter().enumerate().skip(1) {
            let first = &command.operands[0];
            let runs = matches!(
                first.kind,
                OperandKind::Field(_)
                    | OperandKind::Variable(_)
                    | OperandKind::Function(..)
                    | OperandKind::Pipeline(_)
                    | OperandKind::Chain(..)
            );
            if !runs {
                let message = format!("non executable command in pipeline stage {}", i + 1);
                return Err(self.error_at(first.position, message));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, ParseError> {
        let position = self.peek_non_space().position;
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.peek().kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => break,
                Kind::Pipe => {
                    self.next += 1;
                    // A pipe must lead somewhere.
                    let after = self.peek_non_space();
                    if matches!(after.kind, Kind::RightDelim | Kind::RightParen) {
                        return self.fail("missing value for command");
                    }
                    break;
                }
                _ => {
                    let token = self.take();
                    return self.unexpected(&token, "operand");
                }
            }
        }
        if operands.is_empty() {
            return self.fail("empty command");
        }
        Ok(Command { position, operands })
    }

    fn operand(&mut self) -> Result<Option<Operand>, ParseError> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let mut path = Vec::new();
        while self.peek().kind == Kind::Field {
            path.push(self.take().text[1..].to_owned());
        }
        if path.is_empty() {
            return Ok(Some(term));
        }
        let position = term.position;
        let kind = match term.kind {
            OperandKind::Field(mut fields) => {
                fields.append(&mut path);
                OperandKind::Field(fields)
            }
            OperandKind::Variable(mut fields) => {
                fields.append(&mut path);
                OperandKind::Variable(fields)
            }
            OperandKind::Function(..) | OperandKind::Pipeline(_) | OperandKind::Chain(..) => {
                OperandKind::Chain(Box::new(term), path)
            }
            _ => return self.fail(format!("unexpected . after term {:?}", term.to_string())),
        };
        Ok(Some(Operand { position, kind }))
    }

    /// Reads a single value; `None` when none starts here.
    fn term(&mut self) -> Result<Option<Operand>, ParseError> {
        let token = self.peek_non_space();
        if !starts_operand(token.kind) {
            return Ok(None);
        }
        self.next += 1;
        let kind = match token.kind {
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Variable => {
                self.check_variable(&token)?;
                OperandKind::Variable(vec![token.text])
            }
            Kind::Identifier => match self.functions.get(&token.text) {
                Some(function) => OperandKind::Function(token.text, function.clone()),
                None => {
                    let message = format!("function {:?} not defined", token.text);
                    return Err(self.error_at(token.position, message));
                }
            },
            Kind::Number => match parse_number(&token.text) {
                Ok(Number::Int(value)) => OperandKind::Int(value, token.text),
                Ok(Number::Float(value)) => OperandKind::Float(value, token.text),
                Err(message) => return Err(self.error_at(token.position, message)),
            },
            Kind::CharConstant => {
                let mut rest = token.text[1..token.text.len() - 1].chars();
                let Some(unit) = unescape_one(&mut rest, '\'') else {
                    return Err(self.error_at(token.position, "invalid syntax"));
                };
                if rest.next().is_some() {
                    return self.fail(format!("malformed character constant: {}", token.text));
                }
                OperandKind::Int(unit.code().into(), token.text)
            }
            Kind::LeftParen => {
                let pipeline =
                    self.nested(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                OperandKind::Pipeline(Box::new(pipeline))
            }
            _ => OperandKind::String(Arc::from(self.unquote(&token)?), token.text),
        };
        Ok(Some(Operand { position: token.position, kind }))
    }

    fn unquote(&self, token: &Token) -> Result<String, ParseError> {
        let inner = &token.text[1..token.text.len() - 1];
        if token.kind == Kind::RawString {
            return Ok(inner.to_owned());
        }
        unescape(inner).ok_or_else(|| self.error_at(token.position, "invalid syntax"))
    }
}

fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::RawString
            | Kind::String
            | Kind::Variable
            | Kind::LeftParen
    )
}

fn describe(token: &Token) -> String {
    match token.kind {
        Kind::Eof => "EOF".to_owned(),
        Kind::Keyword => format!("<{}>", token.text),
        _ if token.text.chars().count() > 10 => {
            format!("{:?}...", token.text.chars().take(10).collect::<String>())
        }
        _ => format!("{:?}", token.text),
    }
}

/// Resolves the escapes of a Go string literal.
fn unescape(inner: &str) -> Option<String> {
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while !chars.as_str().is_empty() {
        match unescape_one(&mut chars, '"')? {
            Unit::Byte(byte) => out.push(byte),
            Unit::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    // Values are text: bytes that are none are shown as Go shows them.
    Some(crate::format::text_of_bytes(&out))
}

/// What one character or escape of a literal stands for.
enum Unit {
    Byte(u8),
    Char(char),
}

impl Unit {
    fn code(self) -> u32 {
        match self {
            Unit::Byte(byte) => byte.into(),
            Unit::Char(c) => c.into(),
        }
    }
}

/// Takes one character or escape; only the quote around the literal may be escaped.
fn unescape_one(chars: &mut std::str::Chars<'_>, quote: char) -> Option<Unit> {
    let c = chars.next()?;
    if c != '\\' {
        return Some(Unit::Char(c));
    }
    let escape = chars.next()?;
    let byte = match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        _ if escape == quote => escape as u8,
        'x' => u8::try_from(number(chars, 2, 16)?).ok()?,
        '0'..='7' => {
            let rest = number(chars, 2, 8)?;
            u8::try_from(escape.to_digit(8)? * 64 + rest).ok()?
        }
        'u' | 'U' => {
            let digits = if escape == 'u' { 4 } else { 8 };
            return char::from_u32(number(chars, digits, 16)?).map(Unit::Char);
        }
        _ => return None,
    };
    Some(Unit::Byte(byte))
}

fn number(chars: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    let text = chars.as_str().get(..digits)?;
    let value = u32::from_str_radix(text, radix).ok().filter(|_| !text.starts_with('+'))?;
    *chars = chars.as_str()[digits..].chars();
    Some(value)
}
