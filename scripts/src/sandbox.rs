//! The sandbox: one Rhai engine with chosen packages and every limit set. Owns parsing of source text and running of
//! prepared expressions; nothing a script can write reaches outside.
//!
//! Budgets are counted, so that a script stops at the same place at every replay. Rhai does not check sizes when an
//! element is assigned through an index, so sizes are also paid for in operations (`runtime`): 100,000 operations are the
//! cap on what a script can hold, about 8 MiB.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rhai::packages::{BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, Package};
use rhai::{AST, Dynamic, Engine, OptimizationLevel, ParseError, Token};

/// Operations of one evaluation.
pub(crate) const OPERATIONS: u64 = 100_000;
/// Functions of the author's own in each other.
pub(crate) const CALL_LEVELS: usize = 16;
/// Bytes of a text.
pub(crate) const STRING_BYTES: usize = 16 * 1024;
/// Items of a list, nested ones counted.
pub(crate) const LIST_ITEMS: usize = 1000;
/// Entries of a map.
const MAP_ENTRIES: usize = 256;
/// Bytes of a formula's source.
pub(crate) const SOURCE_BYTES: usize = 64 * 1024;

static ENGINE: LazyLock<Engine> = LazyLock::new(build);

thread_local! {
    static GUARD: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

fn build() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_max_operations(OPERATIONS)
        .set_max_call_levels(CALL_LEVELS)
        .set_max_expr_depths(64, 32)
        .set_max_functions(32)
        .set_max_variables(64)
        .set_max_string_size(STRING_BYTES)
        .set_max_array_size(LIST_ITEMS)
        .set_max_map_size(MAP_ENTRIES)
        .set_max_strings_interned(0)
        .set_allow_anonymous_fn(false)
        .set_fail_on_invalid_map_property(true)
        .disable_symbol("eval")
        .disable_symbol("print")
        .disable_symbol("debug");
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    crate::runtime::register(&mut engine);
    free_names(&mut engine);
    engine.on_progress(|_| {
        GUARD.with_borrow(|guard| match guard {
            Some(flag) if flag.load(Ordering::Relaxed) => Some(Dynamic::UNIT),
            _ => None,
        })
    });
    engine
}

/// Lets words that Rhai reserves without a use be names.
#[allow(
    deprecated,
    reason = "marked deprecated only to say that it may change; the version of Rhai is pinned"
)]
fn free_names(engine: &mut Engine) {
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word)
            if rhai::is_valid_identifier(&word) && !crate::names::KEPT.contains(&word.as_str()) =>
        {
            Token::Identifier(word)
        }
        other => other,
    });
}

/// The one engine of the process.
pub(crate) fn engine() -> &'static Engine {
    &ENGINE
}

/// Parses a formula's source without changing it.
pub(crate) fn parse(source: &str) -> Result<AST, Box<ParseError>> {
    ENGINE.compile(source).map_err(Box::new)
}

/// A script without blanks and comments.
pub(crate) fn compact(source: &str) -> String {
    ENGINE
        .compact_script(source)
        .unwrap_or_else(|_| source.to_owned())
}

/// Runs `work`; while it runs, raising `flag` stops any formula on this thread with
/// [`Fault::WallClock`](crate::Fault::WallClock). Never needed for a formula to end: budgets do that.
pub fn with_guard<T>(flag: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    /// Puts the guard before back, also when `work` panics.
    struct Restore(Option<Arc<AtomicBool>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            GUARD.set(self.0.take());
        }
    }
    let _restore = Restore(GUARD.replace(Some(Arc::clone(flag))));
    work()
}
