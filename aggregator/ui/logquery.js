// Plain words become LogQL: `timeout "connection refused" -debug /5\d\d/` is what most people
// type at 3 a.m. Anything that begins with a brace or is a metric query is LogQL already.

const FUNCTION = /^\s*(sum|avg|min|max|count|topk|bottomk|approx_topk|stddev|stdvar|sort|sort_desc|label_replace|rate|rate_counter|bytes_rate|[a-z]+_over_time)\s*(\(|by\b|without\b)/;

export const isLogql = (text) => /^\s*\{/.test(text) || (FUNCTION.test(text) && text.includes("{"));

export const isMetricQuery = (text) => isLogql(text) && !/^\s*\{/.test(text);

// Words, "quoted phrases" and /expressions/, each perhaps with a minus in front.
export function words(text) {
  const found = [];
  for (const match of text.matchAll(/(-?)(?:"((?:[^"\\]|\\.)*)"|\/((?:[^/\\]|\\.)+)\/|(\S+))/g)) {
    const [, minus, phrase, expression, word] = match;
    const isPattern = expression !== undefined;
    found.push({ isExcluded: minus === "-", isPattern, text: phrase ?? expression ?? word });
  }
  return found;
}

export function toLogql(text, selector) {
  if (isLogql(text)) return text.trim();
  const filters = words(text).map(({ isExcluded, isPattern, text: word }) => {
    const operator = isPattern ? (isExcluded ? "!~" : "|~") : isExcluded ? "!=" : "|=";
    return `${operator} ${JSON.stringify(word)}`;
  });
  return [selector, ...filters].join(" ");
}

// The query with one more condition on a label. A field that only a parser finds needs that parser
// in front.
export function withFilter(query, name, value, isWanted, parser) {
  const hasParser = !parser || new RegExp(`\\|\\s*${parser}\\b`).test(query);
  return `${query.trim()}${hasParser ? "" : ` | ${parser}`} | ${name}${isWanted ? "=" : "!="}${JSON.stringify(value)}`;
}

// {a="b", c="d"}: the selector of one stream.
export const selectorOf = (labels) => `{${Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ")}}`;
