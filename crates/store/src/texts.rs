//! Texts in one buffer.

/// Names or values that a listing found, ascending and without repeats, one after the other in one
/// buffer: a million of them are two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    joined: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text after the last one.
    pub fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of memory they take.
    pub fn bytes(&self) -> usize {
        self.joined.len() + size_of_val(self.ends.as_slice())
    }

    /// The text at a place below [`Texts::len`].
    ///
    /// # Panics
    /// At any other place.
    pub fn get(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.joined[start..self.ends[place]]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|place| self.get(place))
    }

    /// Whether it is among them.
    pub fn contains(&self, text: &str) -> bool {
        let (mut first, mut end) = (0, self.len());
        while first < end {
            let middle = first + (end - first) / 2;
            if self.get(middle) < text { first = middle + 1 } else { end = middle }
        }
        first < self.len() && self.get(first) == text
    }

    /// Those of both.
    pub fn merged(&self, other: &Texts) -> Texts {
        let mut merged = Texts::default();
        let mut others = other.iter().peekable();
        for text in self.iter() {
            while let Some(other) = others.next_if(|other| *other < text) {
                merged.push(other);
            }
            others.next_if_eq(&text);
            merged.push(text);
        }
        others.for_each(|other| merged.push(other));
        merged
    }

    /// Gives back memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.joined.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Each as a text of its own.
    pub fn to_strings(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(ascending: I) -> Self {
        let mut texts = Texts::default();
        ascending.into_iter().for_each(|text| texts.push(text.as_ref()));
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_merged() {
        let texts: Texts = ["", "b", "bc", "é"].iter().collect();
        assert_eq!(texts.to_strings(), ["", "b", "bc", "é"]);
        assert!(texts.iter().all(|text| texts.contains(text)));
        assert!(!["A", "ba", "z", "éa"].iter().any(|text| texts.contains(text)));
        let others: Texts = ["a", "bc", "bd", "é", "êtes"].iter().collect();
        let expected = ["", "a", "b", "bc", "bd", "é", "êtes"];
        assert_eq!(texts.merged(&others).to_strings(), expected);
        assert_eq!(others.merged(&texts).to_strings(), expected);
        assert_eq!(texts.merged(&Texts::default()), texts);
        assert!(Texts::default().is_empty() && !Texts::default().contains(""));
    }
}
