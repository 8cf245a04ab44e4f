//! What templates see: an element of a result in a rule, a message in a notification.

mod key_values;
mod notification;
mod rule;

pub(crate) use notification::data as notification_data;
pub use notification::{ExpandError, NotificationTemplates};
pub(crate) use rule::{RuleData, RuleTemplates, check_rule_template, graph_link};

#[cfg(test)]
mod golden;
