//! Escaping by where a value stands, as Go's `html/template` does: text, an attribute, an address,
//! a style, a script.
//!
//! [`Context`] follows the template's own text, tag by tag; what actions insert is never part of
//! it, so no value can change where the next one stands. In doubt a value becomes harmless rather
//! than right: an address of an unknown scheme is [`REFUSED_URL`], a style that could do more than
//! look is [`REFUSED`].

use crate::Value;

/// In place of an address whose scheme is not `http`, `https` or `mailto`.
const REFUSED_URL: &str = "#ZgotmplZ";
/// The one `<` of a template's own text that begins neither tag nor comment and stays, in any case
/// of its letters.
const DOCTYPE: &str = "<!DOCTYPE";
/// In place of a style that is not plainly a value.
const REFUSED: &str = "ZgotmplZ";

/// Where in an HTML text we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    state: State,
    /// Of the tag that was opened last.
    element: Element,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Comment,
    /// In a tag, between attributes; whether it is a closing one.
    Tag(bool),
    /// In an attribute's name, which is lower case.
    Name(String),
    /// After `=`.
    BeforeValue(Kind),
    Value {
        kind: Kind,
        quote: Quote,
        url: UrlPart,
    },
    /// In `textarea` or `title`, in `script`, in `style`: until its end tag.
    Raw(Element),
}

/// What an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Url,
    Style,
    Script,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Single,
    Double,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UrlPart {
    Begin,
    Path,
    Query,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Element {
    #[default]
    Other,
    Text(&'static str),
    Script,
    Style,
}

impl Element {
    fn of(name: &str) -> Self {
        match name {
            "textarea" => Element::Text("textarea"),
            "title" => Element::Text("title"),
            "script" => Element::Script,
            "style" => Element::Style,
            _ => Element::Other,
        }
    }

    fn end_tag(self) -> &'static str {
        match self {
            Element::Text("textarea") => "</textarea",
            Element::Text(_) => "</title",
            Element::Script => "</script",
            Element::Style => "</style",
            Element::Other => "</",
        }
    }
}

impl Context {
    /// Goes on over the template's own text and returns it without comments.
    pub(crate) fn feed(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let before = self.state.clone();
            let length = self.advance(rest);
            let (done, after) = rest.split_at(length);
            if before == State::Text && self.state == State::Text && done == "<" {
                // It begins no tag, and what a value adds must not make one of it.
                out.push_str("&lt;");
            } else if let State::Raw(Element::Text(_)) = before
                && self.state == before
            {
                out.push_str(&escape_tag_openings(done));
            } else if before != State::Comment && self.state != State::Comment {
                out.push_str(done);
            }
            rest = after;
        }
        out
    }

    /// Takes a step; returns its length, which is at least one character.
    fn advance(&mut self, text: &str) -> usize {
        let first = text.chars().next().map_or(1, char::len_utf8);
        match self.state.clone() {
            State::Text => self.in_text(text),
            State::Comment => match text.find("-->") {
                Some(at) => {
                    // The end belongs to the comment.
                    if at == 0 {
                        self.state = State::Text;
                        return 3;
                    }
                    at
                }
                None => text.len(),
            },
            State::Tag(is_end) => self.in_tag(text, is_end, first),
            State::Name(name) => self.in_name(text, name, first),
            State::BeforeValue(kind) => self.before_value(text, kind, first),
            State::Value { kind, quote, url } => self.in_value(text, kind, quote, url, first),
            State::Raw(element) => {
                let end = find_ignoring_case(text, element.end_tag());
                match end {
                    Some(0) => {
                        self.state = State::Tag(true);
                        element.end_tag().len()
                    }
                    Some(at) => at,
                    None => text.len(),
                }
            }
        }
    }

    fn in_text(&mut self, text: &str) -> usize {
        let Some(at) = text.find('<') else { return text.len() };
        if at > 0 {
            return at;
        }
        if text.starts_with("<!--") {
            self.state = State::Comment;
            return 4;
        }
        if begins_doctype(text) {
            return DOCTYPE.len();
        }
        let is_end = text[1..].starts_with('/');
        let name = &text[1 + usize::from(is_end)..];
        let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return 1;
        }
        self.element =
            if is_end { Element::Other } else { Element::of(&name[..length].to_ascii_lowercase()) };
        self.state = State::Tag(is_end);
        1 + usize::from(is_end) + length
    }

    fn in_tag(&mut self, text: &str, is_end: bool, first: usize) -> usize {
        if text.starts_with('>') {
            self.end_of_tag(is_end);
            return 1;
        }
        if !text.starts_with(|c: char| c.is_whitespace() || c == '/') {
            self.state = State::Name(String::new());
            return self.in_name(text, String::new(), first);
        }
        first
    }

    fn end_of_tag(&mut self, is_end: bool) {
        self.state = match self.element {
            Element::Other => State::Text,
            _ if is_end => State::Text,
            element => State::Raw(element),
        };
        self.element = Element::Other;
    }

    fn in_name(&mut self, text: &str, name: String, first: usize) -> usize {
        let end = text.find(|c: char| c.is_whitespace() || "=>/".contains(c)).unwrap_or(text.len());
        if end > 0 {
            self.state = State::Name(name + &text[..end].to_ascii_lowercase());
            return end;
        }
        if text.starts_with('=') {
            self.state = State::BeforeValue(kind_of(&name));
            return 1;
        }
        let blank = text.len() - text.trim_start().len();
        if text[blank..].starts_with('=') {
            self.state = State::BeforeValue(kind_of(&name));
            return blank + 1;
        }
        self.state = State::Tag(false);
        if blank > 0 { blank } else { self.in_tag(text, false, first) }
    }

    fn before_value(&mut self, text: &str, kind: Kind, first: usize) -> usize {
        let quote = match text.chars().next() {
            Some('"') => Quote::Double,
            Some('\'') => Quote::Single,
            Some(c) if c.is_whitespace() => return first,
            Some('>') => {
                self.end_of_tag(false);
                return 1;
            }
            _ => {
                let (quote, url) = (Quote::None, UrlPart::Begin);
                self.state = State::Value { kind, quote, url };
                return self.in_value(text, kind, quote, url, first);
            }
        };
        self.state = State::Value { kind, quote, url: UrlPart::Begin };
        1
    }

    fn in_value(&mut self, text: &str, kind: Kind, quote: Quote, url: UrlPart, first: usize) -> usize {
        let ends = |c: char| match quote {
            Quote::Double => c == '"',
            Quote::Single => c == '\'',
            Quote::None => c.is_whitespace() || c == '>',
        };
        let end = text.find(ends).unwrap_or(text.len());
        if end == 0 {
            self.state = State::Tag(false);
            // A quote belongs to the value, what ends a bare one does not.
            return if quote == Quote::None { self.in_tag(text, false, first) } else { 1 };
        }
        let part = &text[..end];
        let url = if part.contains(['?', '#']) {
            UrlPart::Query
        } else if url == UrlPart::Begin && !part.trim().is_empty() {
            UrlPart::Path
        } else {
            url
        };
        self.state = State::Value { kind, quote, url };
        end
    }

    /// A value as it may stand here. `escaped_by` is the function at the end of the pipeline: what
    /// `html` and `urlquery` have escaped is not escaped again.
    pub(crate) fn escape(&mut self, value: &Value, escaped_by: Option<&str>) -> String {
        // A value where one is expected begins it, without quotes.
        if let State::BeforeValue(kind) = self.state {
            self.state = State::Value { kind, quote: Quote::None, url: UrlPart::Begin };
        }
        let (text, is_html) = match value {
            Value::Html(text) => (text.to_string(), true),
            other => (other.print(), false),
        };
        let is_done = escaped_by == Some("html");
        match &self.state {
            State::Text if is_html || is_done => text,
            State::Text => escape_text(&text),
            State::Comment => String::new(),
            // A space, so that it never becomes part of the element's name.
            State::Tag(_) => format!(" {}", name(&text)),
            State::Name(_) => REFUSED.to_owned(),
            State::BeforeValue(_) => escape_unquoted(&text, is_html),
            State::Value { kind, quote, url } => {
                let text = match kind {
                    Kind::Plain if is_html => return attribute_of_html(&text, *quote),
                    Kind::Plain if is_done && *quote != Quote::None => return text,
                    Kind::Plain => text,
                    Kind::Url => self.address(&text, *url, escaped_by),
                    Kind::Style => style(&text),
                    Kind::Script => script(value),
                };
                if *quote == Quote::None { escape_unquoted(&text, false) } else { escape_text(&text) }
            }
            State::Raw(Element::Script) => script(value),
            State::Raw(Element::Style) => style(&text),
            State::Raw(_) if is_done => text,
            State::Raw(_) if is_html => escape_kept_entities(&text),
            State::Raw(_) => escape_text(&text),
        }
    }

    fn address(&self, text: &str, part: UrlPart, escaped_by: Option<&str>) -> String {
        match part {
            UrlPart::Begin if !is_safe_scheme(text) => REFUSED_URL.to_owned(),
            UrlPart::Begin | UrlPart::Path => percent_encoded(text, true),
            UrlPart::Query if escaped_by == Some("urlquery") => text.to_owned(),
            UrlPart::Query => percent_encoded(text, false),
        }
    }
}

fn begins_doctype(text: &str) -> bool {
    text.get(..DOCTYPE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(DOCTYPE))
}

/// For a template's own text within `textarea` and `title`, where no tag but the end begins.
fn escape_tag_openings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        out.push_str(if begins_doctype(&rest[at..]) { "<" } else { "&lt;" });
        rest = &rest[at + 1..];
    }
    out + rest
}

fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(needle)
}

fn kind_of(name: &str) -> Kind {
    const URLS: [&str; 16] = [
        "action",
        "archive",
        "background",
        "cite",
        "classid",
        "codebase",
        "data",
        "formaction",
        "href",
        "icon",
        "longdesc",
        "manifest",
        "poster",
        "profile",
        "src",
        "usemap",
    ];
    let name = name.strip_prefix("data-").unwrap_or(name);
    let name = name.rsplit_once(':').filter(|(space, _)| *space != "xmlns").map_or(name, |(_, local)| local);
    if name.starts_with("on") {
        Kind::Script
    } else if name == "style" {
        Kind::Style
    } else if URLS.contains(&name) || ["src", "uri", "url"].iter().any(|part| name.contains(part)) {
        Kind::Url
    } else {
        Kind::Plain
    }
}

fn replace(text: &str, replacement: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match replacement(c) {
            Some(other) => out.push_str(other),
            None => out.push(c),
        }
    }
    out
}

fn entity(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "\u{FFFD}",
        '"' => "&#34;",
        '&' => "&amp;",
        '\'' => "&#39;",
        '+' => "&#43;",
        '<' => "&lt;",
        '>' => "&gt;",
        _ => return None,
    })
}

/// For text and for values in quotes.
fn escape_text(text: &str) -> String {
    replace(text, entity)
}

/// For what is HTML already: entities stay.
fn escape_kept_entities(text: &str) -> String {
    replace(text, |c| entity(c).filter(|_| c != '&'))
}

/// For values without quotes; `keeps_entities` for what is HTML already.
fn escape_unquoted(text: &str, keeps_entities: bool) -> String {
    if text.is_empty() {
        // Else the next attribute would become the value.
        return REFUSED.to_owned();
    }
    replace(text, |c| match c {
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\u{b}' => Some("&#11;"),
        '\u{c}' => Some("&#12;"),
        '\r' => Some("&#13;"),
        ' ' => Some("&#32;"),
        '=' => Some("&#61;"),
        '`' => Some("&#96;"),
        '\0' => Some("&#xfffd;"),
        '&' if keeps_entities => None,
        other => entity(other),
    })
}

/// HTML as an attribute: its text, without the tags.
fn attribute_of_html(text: &str, quote: Quote) -> String {
    let mut plain = String::new();
    let mut context = Context::default();
    let mut rest = text;
    while !rest.is_empty() {
        let was_text = matches!(context.state, State::Text | State::Raw(_));
        let length = context.advance(rest);
        let (done, after) = rest.split_at(length);
        if was_text && matches!(context.state, State::Text | State::Raw(_)) {
            plain.push_str(done);
        }
        rest = after;
    }
    if quote == Quote::None { escape_unquoted(&plain, true) } else { escape_kept_entities(&plain) }
}

/// A name of an attribute or element: letters and digits that mean nothing special.
fn name(text: &str) -> String {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let text = text.to_ascii_lowercase();
    if is_plain && kind_of(&text) == Kind::Plain { text } else { REFUSED.to_owned() }
}

fn is_safe_scheme(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|safe| scheme.eq_ignore_ascii_case(safe))
        }
        _ => true,
    }
}

/// The address with what has no place in one encoded; with `whole`, what divides an address stays.
fn percent_encoded(text: &str, whole: bool) -> String {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let stays = byte.is_ascii_alphanumeric()
            || b"-._~".contains(byte)
            || whole && b"!#$&*+,/:;=?@[]".contains(byte)
            || whole && *byte == b'%' && is_hex(at + 1) && is_hex(at + 2);
        if stays { out.push(char::from(*byte)) } else { out.push_str(&format!("%{byte:02x}")) }
    }
    out
}

/// A value of a style, when it is plainly one.
fn style(text: &str) -> String {
    let is_plain =
        text.chars().all(|c| c.is_alphanumeric() || " #%!,.-+_".contains(c)) && !text.contains("--");
    let letters: String =
        text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    if is_plain && !letters.contains("expression") && !letters.contains("mozbinding") {
        text.to_owned()
    } else {
        REFUSED.to_owned()
    }
}

/// A value of a script, as JSON that no tag or comment can hide in.
fn script(value: &Value) -> String {
    let text = match value {
        Value::Nil => return "null".to_owned(),
        Value::Bool(value) => return format!(" {value} "),
        Value::Int(value) => return format!(" {value} "),
        Value::Float(value) if value.is_finite() => return format!(" {value} "),
        other => other.print(),
    };
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, value: &str) -> String {
        let mut context = Context::default();
        context.feed(text);
        context.escape(&Value::from(value), None)
    }

    #[test]
    fn no_value_leaves_its_place() {
        for (text, value, expected) in [
            ("a < b ", "<", "&lt;"),
            ("<scr", "ipt", " ipt"),
            ("<p o", "nclick", "ZgotmplZ"),
            ("<p title = \"", "\"><script>", "&#34;&gt;&lt;script&gt;"),
            ("<p title=", "", "ZgotmplZ"),
            ("<p title=a", " onclick=x", "&#32;onclick&#61;x"),
            ("<a href='", "java\nscript:x", "#ZgotmplZ"),
            ("<a href=\"/x?", "a=1&b", "a%3d1%26b"),
            ("<a data-href=\"", "javascript:x", "#ZgotmplZ"),
            ("<a xlink:href=\"", "javascript:x", "#ZgotmplZ"),
            ("<p ", "onclick", " ZgotmplZ"),
            ("<script>var a = ", "</script>", "\"\\u003c/script\\u003e\""),
            ("<SCRIPT>x</ScRiPt ><p>", "<", "&lt;"),
            ("<!-- a", "--><b>", ""),
            ("<textarea>", "</textarea>", "&lt;/textarea&gt;"),
            ("<p style='color:", "url(x)", "ZgotmplZ"),
        ] {
            assert_eq!(at(text, value), expected, "{text}{value}");
        }
    }

    #[test]
    fn comments_go_and_the_rest_stays() {
        let mut context = Context::default();
        assert_eq!(context.feed("a<!-- b"), "a");
        assert_eq!(context.feed(" c -->d<p class='x > y'>e"), "d<p class='x > y'>e");
        assert_eq!(context, Context::default());
        assert_eq!(context.feed("a < b <"), "a &lt; b &lt;");
    }

    #[test]
    fn text_of_the_template_is_as_go_prints_it() {
        for (text, expected) in [
            ("<!DOCTYPE html>\n<html>", "<!DOCTYPE html>\n<html>"),
            ("<!doctype html><p>", "<!doctype html><p>"),
            (
                "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://x/x.dtd\"><html xmlns='x'>",
                "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://x/x.dtd\"><html xmlns='x'>",
            ),
            ("<?xml version=\"1.0\"?>\n<!DocType html>", "&lt;?xml version=\"1.0\"?>\n<!DocType html>"),
            ("<!DOCTYP", "&lt;!DOCTYP"),
            ("<!DOCTYPÉ html>", "&lt;!DOCTYPÉ html>"),
            ("<![CDATA[x]]>", "&lt;![CDATA[x]]>"),
            ("<!--[if mso]><table><![endif]--><p>", "<p>"),
            ("a <3 </3> <>", "a &lt;3 &lt;/3> &lt;>"),
            ("a & b &amp; \"c\" > d", "a & b &amp; \"c\" > d"),
            ("<title>a < b <i></title>", "<title>a &lt; b &lt;i></title>"),
            ("<script>if (a < b) {}</script>", "<script>if (a < b) {}</script>"),
        ] {
            let mut context = Context::default();
            assert_eq!(context.feed(text), expected);
            assert_eq!(context.state, State::Text, "{text}");
        }
    }

    #[test]
    fn a_value_beside_the_doctype_is_text() {
        assert_eq!(at("<!DOCTYPE ", "<b>"), "&lt;b&gt;");
    }
}
