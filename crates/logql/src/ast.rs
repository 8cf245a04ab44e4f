//! The syntax tree.

mod pretty;
mod print;

pub use pretty::pretty;

use model::Matcher;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Lines.
    Log(LogExpr),
    /// Numbers over time.
    Sample(SampleExpr),
}

/// A selector with a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// On stream labels.
    pub matchers: Vec<Matcher>,
    /// In the order written.
    pub stages: Vec<Stage>,
}

/// What yields numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleExpr {
    /// `rate({…}[5m])`
    Range(RangeAggregation),
    /// `sum by (a) (…)`
    Vector(VectorAggregation),
    /// `a / on (b) c`
    Binary(Box<Binary>),
    /// `2`
    Literal(f64),
    /// `vector(2)`
    VectorLiteral(f64),
    /// `label_replace(…)`
    LabelReplace(Box<LabelReplace>),
}

/// A function of the lines in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// Which.
    pub op: RangeOp,
    /// The quantile of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// The lines.
    pub log: LogExpr,
    /// Length of the window, nanoseconds.
    pub range_ns: i64,
    /// How far the window lies back, nanoseconds.
    pub offset_ns: i64,
    /// Which label holds the number.
    pub unwrap: Option<Unwrap>,
    /// `by` or `without`.
    pub grouping: Option<Grouping>,
}

/// `| unwrap duration(took) | __error__=""`
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label.
    pub label: String,
    /// How it becomes a number.
    pub conversion: Option<Conversion>,
    /// Label filters behind it.
    pub filters: Vec<LabelFilter>,
}

/// How an unwrapped label becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the language's")]
pub enum Conversion {
    Bytes,
    Duration,
    DurationSeconds,
}

impl Conversion {
    /// The function's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Conversion::Bytes => "bytes",
            Conversion::Duration => "duration",
            Conversion::DurationSeconds => "duration_seconds",
        }
    }
}

macro_rules! named {
    ($(#[$meta:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the language's")]
        pub enum $type { $($variant,)* }

        impl $type {
            /// The name in queries.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some($type::$variant),)* _ => None }
            }
        }
    };
}

named! {
    /// Functions of a window.
    RangeOp {
        Rate = "rate",
        RateCounter = "rate_counter",
        Count = "count_over_time",
        BytesRate = "bytes_rate",
        Bytes = "bytes_over_time",
        Sum = "sum_over_time",
        Avg = "avg_over_time",
        Min = "min_over_time",
        Max = "max_over_time",
        Stddev = "stddev_over_time",
        Stdvar = "stdvar_over_time",
        Quantile = "quantile_over_time",
        First = "first_over_time",
        Last = "last_over_time",
        Absent = "absent_over_time",
    }
}

named! {
    /// Functions of a vector.
    VectorOp {
        Sum = "sum",
        Avg = "avg",
        Min = "min",
        Max = "max",
        Count = "count",
        Stddev = "stddev",
        Stdvar = "stdvar",
        Topk = "topk",
        Bottomk = "bottomk",
        ApproxTopk = "approx_topk",
        Sort = "sort",
        SortDesc = "sort_desc",
    }
}

named! {
    /// Operators between two vectors or numbers.
    BinaryOp {
        Or = "or",
        And = "and",
        Unless = "unless",
        Add = "+",
        Sub = "-",
        Mul = "*",
        Div = "/",
        Mod = "%",
        Pow = "^",
        Equal = "==",
        NotEqual = "!=",
        Greater = ">",
        GreaterEqual = ">=",
        Less = "<",
        LessEqual = "<=",
    }
}

impl BinaryOp {
    /// Whether this keeps elements rather than computing with them.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }

    /// Whether this compares.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
        )
    }
}

/// `by (a, b)` or `without (a, b)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Whether the labels are those to lose.
    pub without: bool,
    /// The labels named.
    pub labels: Vec<String>,
}

/// A function of a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// Which.
    pub op: VectorOp,
    /// The k of `topk`.
    pub parameter: Option<u64>,
    /// `by` or `without`.
    pub grouping: Option<Grouping>,
    /// What is aggregated.
    pub inner: Box<SampleExpr>,
}

/// Two operands and how they meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left.
    pub lhs: SampleExpr,
    /// Right.
    pub rhs: SampleExpr,
    /// Whether a comparison gives 0 or 1.
    pub returns_bool: bool,
    /// `on` or `ignoring`.
    pub matching: Option<Matching>,
}

/// Which labels decide that two elements belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// `on` rather than `ignoring`.
    pub on: bool,
    /// The labels named.
    pub labels: Vec<String>,
    /// `group_left` or `group_right`.
    pub group: Option<Group>,
}

/// One element meets many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whether the many are on the left (`group_left`).
    pub left: bool,
    /// Labels taken over from the one.
    pub include: Vec<String>,
}

/// `label_replace(v, "dst", "$1", "src", "(.*)")`
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReplace {
    /// What is changed.
    pub inner: SampleExpr,
    /// The label written.
    pub destination: String,
    /// The text written, with `$1`.
    pub replacement: String,
    /// The label read.
    pub source: String,
    /// Must match the whole source.
    pub regex: String,
}

/// A step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "a" or "b"`
    Line(LineFilter),
    /// `| json a="b.c"`
    Json(Vec<Extraction>),
    /// `| logfmt --strict a="b"`
    Logfmt {
        /// Malformed lines are errors.
        strict: bool,
        /// Keys without a value stay, with "".
        keep_empty: bool,
        /// Only these, when not empty.
        extractions: Vec<Extraction>,
    },
    /// `| regexp "…"`
    Regexp(String),
    /// `| pattern "…"`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| a > 5`
    LabelFilter(LabelFilter),
    /// `| line_format "…"`
    LineFormat(String),
    /// `| label_format a=b, c="…"`
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="c"`
    Drop(Vec<LabelChoice>),
    /// `| keep a, b="c"`
    Keep(Vec<LabelChoice>),
}

named! {
    /// Kinds of line filters.
    LineOp {
        Contains = "|=",
        ContainsNot = "!=",
        Matches = "|~",
        MatchesNot = "!~",
        Pattern = "|>",
        PatternNot = "!>",
    }
}

impl LineOp {
    /// Whether lines that match are dropped.
    pub fn is_negative(self) -> bool {
        matches!(self, LineOp::ContainsNot | LineOp::MatchesNot | LineOp::PatternNot)
    }
}

/// A line filter with its alternatives; a negative one refuses each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// How.
    pub op: LineOp,
    /// What; at least one.
    pub needles: Vec<Needle>,
}

/// What a line filter looks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Needle {
    /// An address rather than text.
    pub ip: bool,
    /// The text, expression, pattern or address.
    pub text: String,
}

/// `a="b.c"` of `json` and `logfmt`.
#[derive(Clone, Debug, PartialEq)]
pub struct Extraction {
    /// The label written.
    pub label: String,
    /// What is read.
    pub path: String,
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelFormat {
    /// The label written.
    pub label: String,
    /// Where from.
    pub source: FormatSource,
}

/// Where `label_format` takes a value from.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatSource {
    /// Another label, which goes.
    Rename(String),
    /// A template.
    Template(String),
}

/// A label, with a matcher or without, of `drop` and `keep`.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelChoice {
    /// Whatever its value.
    Name(String),
    /// When the value matches.
    Matching(Matcher),
}

impl LabelChoice {
    /// The label.
    pub fn name(&self) -> &str {
        match self {
            LabelChoice::Name(name) => name,
            LabelChoice::Matching(matcher) => matcher.name(),
        }
    }
}

/// A condition on labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// Either.
    Or(Box<LabelFilter>, Box<LabelFilter>),
    /// On the text.
    Text(Matcher),
    /// On the value as a number of some kind.
    Compare {
        /// The label.
        label: String,
        /// The comparison.
        op: CompareOp,
        /// What with.
        value: CompareValue,
    },
    /// On the value as an address.
    Ip {
        /// The label.
        label: String,
        /// Whether matching addresses are dropped.
        negative: bool,
        /// An address, network or range.
        pattern: String,
    },
}

named! {
    /// Comparisons with numbers.
    CompareOp {
        Equal = "==",
        NotEqual = "!=",
        Greater = ">",
        GreaterEqual = ">=",
        Less = "<",
        LessEqual = "<=",
    }
}

/// What a label filter compares with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CompareValue {
    /// A number.
    Number(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Bytes(u64),
}
