//! The labelled series of the Numenta Anomaly Benchmark (MIT, see `data/nab/LICENSE.txt`) as event lines.

use std::path::Path;

use tidegate_proto::time::Timestamp;

/// Series that are kept here: resource id and file.
pub const SERIES: [(&str, &str); 4] = [
    ("office", "ambient_temperature_system_failure.csv"),
    ("machine", "machine_temperature_system_failure.csv"),
    ("server", "ec2_cpu_utilization_5f5533.csv"),
    ("artificial", "art_daily_flatmiddle.csv"),
];

/// One series as event lines, in the order of the file.
pub fn event_lines(resource: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/nab")
        .join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = String::new();
    for row in text.lines().skip(1) {
        let (time, value) = row.split_once(',').expect("a row has a time and a value");
        let time: Timestamp = format!("{}Z", time.replace(' ', "T"))
            .parse()
            .expect("a time is readable");
        lines.push_str(&format!(
            "{{\"resource\":\"{resource}\",\"time\":{},\"values\":{{\"value\":{value}}}}}\n",
            time.0
        ));
    }
    lines
}
