//! Layers, checks and what is told of mistakes.

use std::io::Write as _;

use super::*;
use crate::log::FsyncPolicy;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(text: &str, environment: &[(&str, &str)]) -> Result<(Config, Merged), ConfigError> {
    let file = file(text);
    let environment = environment
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment,
        flags: Vec::new(),
    };
    Config::load(&sources)
}

fn problems(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let error = load(text, environment).unwrap_err();
    error
        .problems
        .iter()
        .map(|p| format!("{}: {}", p.setting, p.problem))
        .collect()
}

#[test]
fn the_embedded_defaults_are_whole_and_are_the_specified_ones() {
    let (config, _) = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7878");
    assert_eq!(config.partitions, 4);
    assert_eq!(config.data, PathBuf::from("./tidegate-data"));
    assert_eq!(config.topic("inbox"), "tidegate.inbox");
    assert_eq!(config.time.disorder, Span::seconds(5));
    assert_eq!(config.time.idle, Span::seconds(15));
    assert_eq!(config.time.future, Span::seconds(600));
    assert_eq!(config.limits.body_bytes, 1 << 20);
    assert_eq!(config.log.embedded, EmbeddedLogSettings::default());
    assert_eq!(
        config.log.retention.dlq.age,
        Some(Span::seconds(30 * 86_400))
    );
    assert_eq!(config.log.retention.inbox.bytes, None);
    assert!(config.handlers.is_empty());
}

#[test]
fn later_layers_win() {
    let text = "partitions = 8\n[log]\nfsync = \"never\"\n[shard]\ntick = \"1s\"";
    let environment = [
        ("TIDEGATE_SHARD__TICK", "2s"),
        ("TIDEGATE_LISTEN", "[::1]:9000"),
        ("TIDEGATE_LOG__RETENTION__INBOX__BYTES", "10GiB"),
        ("TIDEGATE_SERVER", "http://elsewhere"),
        ("HOME", "/root"),
    ];
    let (config, _) = load(text, &environment).unwrap();
    assert_eq!(config.partitions, 8);
    assert_eq!(config.log.embedded.fsync, FsyncPolicy::Never);
    assert_eq!(config.shard.tick, Span::seconds(2));
    assert_eq!(config.listen.to_string(), "[::1]:9000");
    assert_eq!(config.log.retention.inbox.bytes, Some(10 << 30));

    let sources = Sources {
        environment: vec![("TIDEGATE_LISTEN".into(), "127.0.0.1:1".into())],
        flags: vec![("listen", "localhost:2".into(), "--listen")],
        file: None,
    };
    assert_eq!(
        Config::load(&sources).unwrap().0.listen.to_string(),
        "127.0.0.1:2"
    );
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let text = "partitons = 8\n[log]\nfsync = \"sometimes\"\n[shard]\ntick = 5\nepoch_records = 0\n[time]\nidle = \"1s\"\n";
    let found = problems(text, &[("TIDEGATE_LIMITS__PAGE", "many")]);
    let all = found.join("\n");
    assert_eq!(found.len(), 6, "{all}");
    assert!(
        all.contains("there is no setting `partitons`; did you mean `partitions`?"),
        "{all}"
    );
    assert!(
        all.contains("log.fsync: `sometimes` is not an fsync policy"),
        "{all}"
    );
    assert!(
        all.contains("shard.tick: `5` is not a duration: write `\"5s\"`"),
        "{all}"
    );
    assert!(
        all.contains("shard.epoch_records: must be a whole number, 1 to 1000000"),
        "{all}"
    );
    assert!(all.contains("limits.page: must be a whole number"), "{all}");
    assert!(
        all.contains("time.idle: must be at least `time.disorder` (5s)"),
        "{all}"
    );

    let error = load(text, &[]).unwrap_err();
    let line = error
        .problems
        .iter()
        .find(|p| p.setting == "shard.tick")
        .unwrap();
    assert!(line.to_string().contains(":5: shard.tick: "), "{line}");
}

#[test]
fn unknown_keys_of_the_environment_and_right_names_in_wrong_sections_are_refused() {
    let all = problems("tick = \"1s\"", &[("TIDEGATE_LOG__FSINC", "never")]).join("\n");
    assert!(
        all.contains("no setting `tick`; did you mean `shard.tick`?"),
        "{all}"
    );
    assert!(
        all.contains("no setting `log.fsinc`; did you mean `log.fsync`?"),
        "{all}"
    );
    let all = problems("log = 5", &[]).join("\n");
    assert!(all.contains("log: this is a section"), "{all}");
    let all = problems("a = [1]\nb = 1979-05-27", &[]).join("\n");
    assert!(
        all.contains("a: a list is no value") && all.contains("b: a date is no value"),
        "{all}"
    );
    let all = problems("x = = 1", &[]).join("\n");
    assert!(!all.is_empty());
}

#[test]
fn other_machines_are_kept_out() {
    for address in ["0.0.0.0:7878", "192.168.1.5:80", "[::]:7878"] {
        let all = problems(&format!("listen = \"{address}\""), &[]).join("\n");
        assert!(all.contains("can be reached from other machines"), "{all}");
    }
    assert!(
        problems("listen = \"here\"", &[])
            .join("")
            .contains("is not an address")
    );
}

#[test]
fn handlers_take_what_they_leave_out_from_the_defaults() {
    let text = "[handler_defaults]\nqueue = 3\n[handlers.ops-mail]\nurl = \"https://example.org/a?token=x\"\nheaders = { Authorization = \"Bearer abc\" }\ntimeout = \"9s\"";
    let secret = file("s3cret\n");
    let path = secret.path().display().to_string();
    let environment = [
        ("TIDEGATE_HANDLERS__OPS_MAIL__ALLOW_PRIVATE", "true"),
        ("TIDEGATE_HANDLERS__OPS_MAIL__SECRET_FILE", path.as_str()),
        ("TIDEGATE_HANDLERS__OPS_MAIL__HEADERS__X_SITE", "north"),
        ("TIDEGATE_HANDLER_DEFAULTS__JITTER", "0.5"),
        ("TIDEGATE_DISPATCHER__WINDOW", "77"),
    ];
    let (config, merged) = load(text, &environment).unwrap();
    let handler = config.handlers.get("ops-mail").unwrap();
    assert_eq!(
        (handler.queue, handler.timeout, handler.jitter),
        (3, Span::seconds(9), 0.5)
    );
    assert!(handler.allow_private && !handler.allow_http);
    assert_eq!(
        handler.headers.get("Authorization").unwrap().reveal(),
        "Bearer abc"
    );
    assert_eq!(handler.headers.get("x-site").unwrap().reveal(), "north");
    assert_eq!(handler.secret.as_ref().unwrap().reveal(), "s3cret");
    assert_eq!(config.dispatcher.window, 77);

    let shown = merged.show(true);
    for hidden in ["s3cret", "Bearer abc", "token=x"] {
        assert!(
            !shown.contains(hidden) && !format!("{config:?}").contains(hidden),
            "{shown}"
        );
    }
    assert!(
        shown.contains("TIDEGATE_HANDLERS__OPS_MAIL__SECRET_FILE"),
        "{shown}"
    );
}

#[test]
fn handlers_are_checked() {
    let text = "[handlers.a]\nurl = \"http://example.org\"\n[handlers.b]\nurl = \"https://example.org\"\nretries = 3\nttl = \"soon\"\nqueue = \"many\"\n[handlers.c]\nurl = \"https://example.org\"\nconcurrency = 0";
    let found = problems(text, &[("TIDEGATE_DISPATCHER__WINDOW", "0")]);
    let all = found.join("\n");
    for part in [
        "handlers.a.url: ",
        "handlers.b.retries: there is no setting `retries`",
        "handlers.b.ttl: `soon` is not a duration",
        "handlers.b.queue: ",
        "handlers.c.concurrency: `0` is not 1 to 1000",
        "dispatcher.window: `0` is too few",
    ] {
        assert!(all.contains(part), "{part}\nin\n{all}");
    }
    assert_eq!(found.len(), 6, "{all}");
}

#[test]
fn the_embedded_defaults_of_handlers_are_those_of_the_code() {
    let (config, _) = load("[handlers.a]\nurl = \"https://example.org\"", &[]).unwrap();
    let mut handler = config.handlers.get("a").unwrap().clone();
    handler.url = crate::handler::HandlerSettings::default().url;
    assert_eq!(handler, crate::handler::HandlerSettings::default());
    assert_eq!(
        config.dispatcher,
        crate::handler::DispatcherSettings::default()
    );
}

#[test]
fn what_is_shown_reads_back_to_the_same_settings() {
    let (_, merged) = load("[shard]\ntick = \"3s\"", &[]).unwrap();
    let (config, again) = load(&merged.show(true), &[]).unwrap();
    assert_eq!(config.shard.tick, Span::seconds(3));
    assert_eq!(again.show(false), merged.show(false));
}

#[test]
fn sizes_parse() {
    for (text, bytes) in [
        ("0", 0),
        ("1000", 1000),
        ("64KiB", 65_536),
        ("10 GiB", 10 << 30),
        ("1TiB", 1 << 40),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for bad in ["", "KiB", "1MB", "-1", "1.5GiB", "99999999999999999TiB"] {
        assert!(parse_size(bad).is_err(), "{bad}");
    }
}

#[test]
fn brokers_choose_the_log_and_properties_are_passed_through() {
    use crate::log::kafka::Delivery;
    let load = |lines: &str, variables: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.toml");
        std::fs::write(&file, lines).unwrap();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::load(&Sources {
            file: Some(file),
            environment: variables.iter().map(own).collect(),
            ..Sources::default()
        })
    };
    assert_eq!(load("", &[]).unwrap().0.kafka.log, None);
    let lines = "[kafka]\nbrokers = \"a:9092,b:9092\"\n[kafka.properties]\n\"compression.type\" = \"lz4\"\n\"sasl.password\" = \"hush\"\n";
    let (config, merged) = load(lines, &[("TIDEGATE_KAFKA__PROPERTIES__LINGER_MS", "9")]).unwrap();
    let kafka = config.kafka.log.unwrap();
    assert_eq!(
        (kafka.brokers.as_str(), kafka.group.as_str()),
        ("a:9092,b:9092", "tidegate")
    );
    assert_eq!(kafka.properties["compression.type"], "lz4");
    assert_eq!(kafka.properties["linger.ms"], "9");
    assert_eq!(kafka.delivery, Delivery::Identified);
    let variables = [
        ("TIDEGATE_KAFKA__BROKERS", "a:9092"),
        ("TIDEGATE_KAFKA__DELIVERY", "transactional"),
    ];
    let kafka = load("", &variables).unwrap().0.kafka.log.unwrap();
    assert_eq!(kafka.delivery, Delivery::Transactional);
    assert!(!merged.show(true).contains("hush"));

    let lines = "[kafka]\nbrokers = \"nowhere\"\ndelivery = \"once\"\n[kafka.properties]\nacks = 1\n\"enable.idempotence\" = false\n";
    let problems = load(lines, &[]).unwrap_err().to_string();
    for wanted in [
        "`nowhere` is not a broker",
        "`once` is no delivery: write `identified` or `transactional`",
        "kafka.properties.acks: what is promised",
        "kafka.properties.enable.idempotence",
    ] {
        assert!(problems.contains(wanted), "{wanted} is not in\n{problems}");
    }
}

#[cfg(not(feature = "kafka-tls"))]
#[test]
fn a_build_without_tls_names_the_feature() {
    use crate::log::KafkaSettings;
    assert!(
        KafkaSettings::refused("ssl.ca.location")
            .unwrap()
            .contains("kafka-tls")
    );
    assert!(
        KafkaSettings::refused_value("security.protocol", "SASL_SSL")
            .unwrap()
            .contains("kafka-tls")
    );
    assert!(KafkaSettings::refused_value("sasl.mechanism", "SCRAM-SHA-512").is_some());
    assert_eq!(
        KafkaSettings::refused_value("sasl.mechanism", "PLAIN"),
        None
    );
}
