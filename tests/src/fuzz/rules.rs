//! Rules (M5): whatever is read can be evaluated, and whatever is refused is refused in words that point into the text.

use statemachine::rules::{Attribute, ERRORS_MAX, Facts, Kind, Names, RULES_MAX, Unchecked, Value, check, evaluate};

use super::{Target, Verdict};

/// The patent's own example of rules, as it is written.
pub const PATENT_EXAMPLE: &str = "\
# resource (event) {
#     action
# }
pkg1 (halt) {
    if (pkg2.state == down){
        pkg2->startup
    }
}
pkg1 (startup) {
    if (pkg2.state == up && pkg2.node == pkg1.node){
        pkg2->halt
    }
}
pkg2 (startup) {
    if (pkg1.state == up && pkg2.node == pkg1.node){
        pkg2->halt
    }
}
";
const ALL: &str = "\
package:\"orders-a\" (fail) { pkg1->promote pkg2->test pkg2->move(n2) }
group:orders (lost) { if (group:orders.active == pkg1 || !(group:orders.standbys >= 2)) { } else { node:n1->resume } }
node:\"db-1.example\" (drain) { if (node:n1.attr.rack == a && node:n1.packages < 3) { node:n1->drain } }
9 (mode) { if (9.failures != 0 && 9.priority <= 18446744073709551615) { 9->halt } }
";

/// The target.
pub(super) struct Rules;

impl Target for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        vec![PATENT_EXAMPLE.into(), ALL.into()]
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "pkg1",
            "pkg3",
            "\"orders-a\"",
            "group:",
            "node:n1",
            "lan:eth0",
            "if",
            "else",
            "(",
            ")",
            "{",
            "}",
            "->",
            "==",
            "!=",
            "<=",
            ">=",
            "<",
            "&&",
            "||",
            "!",
            ".",
            "# ",
            "startup",
            "halt",
            "move(n2)",
            ".state",
            ".attr.",
            "up",
            "18446744073709551616",
            "\"",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(Verdict::Refused);
        };
        let strict = check(text, &mut Few);
        let rules = match check(text, &mut Unchecked) {
            Ok(rules) => rules,
            Err(_) if strict.is_ok() => return Err("it is refused where every name is taken".to_owned()),
            Err(errors) => return refused(text, &errors),
        };
        if let Err(errors) = strict {
            refused(text, &errors)?;
        }
        if rules.rules().count() > RULES_MAX {
            return Err("more rules than there may be".to_owned());
        }
        for rule in rules.rules() {
            if !rules
                .matching(rule.kind, rule.trigger, &rule.name)
                .any(|found| found.place == rule.place)
            {
                return Err(format!("its own event does not find {rule}"));
            }
            for word in ["up", "n1", "7"] {
                let first = evaluate(rule, &Everything(word));
                if first != evaluate(rule, &Everything(word)) {
                    return Err(format!("{rule} wants something else the second time"));
                }
            }
        }
        Ok(Verdict::Accepted)
    }
}

fn refused(text: &str, errors: &[statemachine::rules::RuleError]) -> Result<Verdict, String> {
    let lines = u32::try_from(text.split('\n').count()).unwrap_or(u32::MAX);
    if errors.is_empty() || errors.len() > ERRORS_MAX + 1 {
        return Err(format!("it is refused for {} reasons", errors.len()));
    }
    if errors.windows(2).any(|pair| pair[0].place > pair[1].place) {
        return Err(format!("the errors are out of order: {errors:?}"));
    }
    match errors
        .iter()
        .find(|error| error.place.line > lines || error.place.line == 0 || error.place.column == 0)
    {
        None => Ok(Verdict::Refused),
        Some(error) => Err(format!("an error beyond the {lines} lines of the text: {error}")),
    }
}

/// A cluster in which there is little.
struct Few;

impl Names for Few {
    fn is_known(&mut self, _: Kind, name: &str) -> bool {
        matches!(name, "pkg1" | "pkg2" | "orders" | "n1")
    }

    fn nearest(&mut self, _: Kind, _: &str) -> Option<String> {
        Some("pkg1".to_owned())
    }
}

/// Every attribute has this value.
struct Everything(&'static str);

impl Facts for Everything {
    fn value(&self, _: &str, _: &Attribute) -> Option<Value<'_>> {
        Some(Value::Word(self.0))
    }
}
