//! Catalogue lines of the functions that keep a state along the rows of a key.

use crate::state::StateFunction;

/// What the catalogue says of a state function.
pub(crate) struct StateEntry {
    pub(crate) signature: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
}

const fn entry(
    signature: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> StateEntry {
    StateEntry {
        signature,
        meaning,
        example,
    }
}

/// The line of a function.
pub(crate) const fn of(function: StateFunction) -> StateEntry {
    use StateFunction as F;
    match function {
        F::Consecutive
        | F::NOfM
        | F::Times
        | F::Deadband
        | F::CrossedAbove
        | F::CrossedBelow
        | F::Hysteresis
        | F::Debounce => of_condition(function),
        _ => of_anomaly(function),
    }
}

/// What a state function costs. `n`: rows in its duration.
pub(crate) const fn cost(function: StateFunction) -> &'static str {
    use StateFunction as F;
    match function {
        F::NOfM => "constant per row; the last m answers",
        F::Times => "constant per row; the edges in its duration",
        F::RobustZ => "log n and more per row; keeps its rows",
        F::ZscoreBefore | F::Forecast | F::TimeTo => "constant per row; exact sums, keeps its rows",
        F::SeasonMean | F::SeasonZ => "constant per row; 168 cells per task",
        F::HoltWinters => "constant per row; one value per step of a season",
        F::Consecutive
        | F::Deadband
        | F::CrossedAbove
        | F::CrossedBelow
        | F::Hysteresis
        | F::Debounce
        | F::Ewma
        | F::EwmaShift
        | F::Cusum => "constant per row; a few values per task",
    }
}

const fn of_condition(function: StateFunction) -> StateEntry {
    use StateFunction as F;
    match function {
        F::Consecutive => entry(
            "consecutive(c, 3)",
            "whether c was true in each of the last n rows that decide it",
            "consecutive(temperature > 90, 3)",
        ),
        F::NOfM => entry(
            "n_of_m(c, 2, 3)",
            "whether c is true, and was in at least n of the last m rows that decide it",
            "n_of_m(temperature > 90, 2, 3)",
        ),
        F::Times => entry(
            "times(c, \"10m\")",
            "how often c turned true in that time; the first known true counts",
            "times(door == \"open\", \"10m\") >= 3",
        ),
        F::Deadband => entry(
            "deadband(x, 0.5)",
            "the last x that differed by more than w from the one before it; the first passes",
            "deadband(temperature, 0.5) > 90",
        ),
        F::CrossedAbove => entry(
            "crossed_above(x, 90)",
            "whether the previous x was at most the limit and this one is above it",
            "crossed_above(temperature, 90)",
        ),
        F::CrossedBelow => entry(
            "crossed_below(x, 10)",
            "whether the previous x was at least the limit and this one is below it",
            "crossed_below(temperature, 10)",
        ),
        F::Hysteresis => entry(
            "hysteresis(x, 90, 80)",
            "true from x > on until x < off; with on < off from x < on until x > off",
            "hysteresis(temperature, 90, 80)",
        ),
        _ => entry(
            "debounce(x, \"5s\")",
            "the value of x once it stayed unchanged so long; `()` before the first",
            "debounce(door, \"5s\") == \"open\"",
        ),
    }
}

const fn of_anomaly(function: StateFunction) -> StateEntry {
    use StateFunction as F;
    match function {
        F::ZscoreBefore => entry(
            "zscore_before(x, \"1h\")",
            "distance of x from the mean of the rows before it, in their standard deviations",
            "zscore_before(temperature, \"1h\") > 3",
        ),
        F::RobustZ => entry(
            "robust_z(x, \"1h\")",
            "0.6745 times the distance of x from the median in median deviations; `()` below three rows",
            "robust_z(temperature, \"1h\") > 3.5",
        ),
        F::Ewma => entry(
            "ewma(x, \"10m\")",
            "mean in which older rows count less: by time with a duration, by row with a share such as 0.1",
            "temperature > ewma(temperature, \"10m\") + 5",
        ),
        F::EwmaShift => entry(
            "ewma_shift(x, 0.2, 3, 30)",
            "1 or −1 while the weighted mean is above or below its control limits, learnt from the first 30 rows, else 0",
            "ewma_shift(temperature, 0.2, 3) != 0",
        ),
        F::Cusum => entry(
            "cusum(x, 0.5, 5, 30)",
            "1 or −1 on the row at which the sum of deviations passes h upwards or downwards, else 0; it then learns anew; k and h above 0",
            "cusum(temperature, 0.5, 5) != 0",
        ),
        F::SeasonMean => entry(
            "season_mean(x, \"Europe/Brussels\")",
            "what x usually is at this hour of the local week, before this row; `()` below three rows",
            "power > 2 * season_mean(power, \"Europe/Brussels\")",
        ),
        F::SeasonZ => entry(
            "season_z(x, \"Europe/Brussels\")",
            "distance from what is usual at this hour of the local week, in standard deviations",
            "season_z(power, \"Europe/Brussels\") > 3",
        ),
        F::HoltWinters => entry(
            "holt_winters(x, 24, 6).high",
            "seasonal forecast of equal steps, m of them a season, h steps ahead: `.value`, `.low`, `.high`; weights above 0, at most 1",
            "holt_winters(power, 24, 6).high > 95",
        ),
        F::Forecast => entry(
            "forecast(x, \"6h\", \"1h\")",
            "the straight line through the rows of a time, read so far ahead; `()` below three rows",
            "forecast(level, \"6h\", \"1h\") > 95",
        ),
        _ => entry(
            "time_to(x, 100, \"6h\")",
            "seconds until that line meets a limit; 0.0 when it has, `()` when it never will",
            "time_to(level, 100, \"6h\") < 10800",
        ),
    }
}
