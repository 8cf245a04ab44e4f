//! The templates of a receiver: given or by default, and checked when the configuration is read.

/// Makes a struct of templates, each with its default, and a way to fill it from fields of the
/// same names that are `Option<Spanned<String>>`.
macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        struct $name { $($field: String,)* }

        impl $name {
            fn of(context: &mut $crate::config::Context<'_>, yaml: &Yaml) -> Self {
                $name { $($field: context.text(yaml.$field.as_ref(), $default),)* }
            }
        }
    };
}
pub(crate) use texts;
