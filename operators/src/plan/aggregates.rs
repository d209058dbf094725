//! Which aggregate a call of a stream function asks for, and which ones a window cannot have.

use std::sync::Arc;

use tidegate_proto::{FormulaText, Issue, Issues};
use tidegate_scripts::{Formula, Slot, StreamCall, StreamFunction};

use crate::aggregate::{AggregateKind, Percent};

/// The aggregate of a call; `None` for functions that are no aggregates.
pub(crate) fn kind(call: &StreamCall) -> Option<AggregateKind> {
    use AggregateKind as Kind;
    use StreamFunction as F;
    Some(match call.function {
        F::Count => Kind::Count,
        F::CountIf => Kind::CountIf,
        F::Sum => Kind::Sum,
        F::Avg => Kind::Avg,
        F::Min => Kind::Min,
        F::Max => Kind::Max,
        F::Std => Kind::Std,
        F::Var => Kind::Var,
        F::First if call.nulls => Kind::FirstNulls,
        F::First => Kind::First,
        F::Last if call.nulls => Kind::LastNulls,
        F::Last => Kind::Last,
        F::Median => Kind::Median,
        F::Spread => Kind::Spread,
        F::Delta => Kind::Delta,
        F::Rate => Kind::Rate,
        F::Zscore => Kind::Zscore,
        F::CountDistinct => Kind::CountDistinct,
        F::ApproxDistinct => Kind::ApproxDistinct,
        F::Percentile => Kind::Percentile(Percent::new(call.constant.unwrap_or(50.0))),
        F::Mode => Kind::Mode,
        F::Entropy => Kind::Entropy,
        F::Increase => Kind::Increase,
        F::Integral => Kind::Integral,
        F::Twa => Kind::Twa,
        F::Duration => Kind::Duration,
        F::Slope => Kind::Slope,
        F::Skew => Kind::Skew,
        F::Cov => Kind::Cov,
        F::Corr | F::CorrLag => Kind::Corr,
        F::Collect if call.nulls => Kind::CollectNulls,
        F::Collect => Kind::Collect,
        F::Top => Kind::Top(call.constant.unwrap_or(1.0) as u32),
        F::AngleMean => Kind::AngleMean,
        F::Changed
        | F::Prev
        | F::Held
        | F::Since
        | F::Stale
        | F::Silent
        | F::Members
        | F::StaleCount
        | F::State(_) => {
            return None;
        }
    })
}

/// How people read an aggregate in the report of `apply`: `avg(temperature where load>3)`.
pub(crate) fn identity(call: &StreamCall) -> String {
    let mut parts: Vec<String> = call
        .arguments
        .iter()
        .map(|argument| argument.normal_text().to_string())
        .collect();
    parts.extend(call.constant.map(|constant| constant.to_string()));
    if call.nulls {
        parts.push("\"nulls\"".to_owned());
    }
    let name = call.function.name().replace('_', "");
    let filter = call.filter.as_ref();
    let filter = filter.map(|f| format!(" where {}", f.normal_text()));
    format!("{name}({}{})", parts.join(","), filter.unwrap_or_default())
}

/// A window that lets single rows go cannot hold what cannot forget them.
pub(super) fn refuse_sketches(
    texts: &[(Arc<str>, FormulaText)],
    emit: &[(Arc<str>, Formula)],
    issues: &mut Issues,
) {
    for (name, formula) in emit {
        let sketches = |slot: &Slot| matches!(slot, Slot::Stream(call) if call.function == StreamFunction::ApproxDistinct);
        let text = texts.iter().find(|(known, _)| known == name);
        if let Some((_, text)) = text.filter(|_| formula.slots().iter().any(sketches)) {
            let problem = "`approx_distinct` cannot forget single rows, as a sliding window must";
            let issue = Issue::new(text.path.as_ref(), text.mark, problem);
            issues.push(issue.hint("use `count_distinct`, or a window that closes"));
        }
    }
}
