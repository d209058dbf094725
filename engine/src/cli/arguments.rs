//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tidegate_proto::time::{Span, Timestamp};

const EXAMPLES: &str = "\
Examples:
  tidegate serve                                  run the engine with everything under ./tidegate-data
  tidegate apply -f rules.yaml                    bring rules, resources and types in force
  tidegate get rules                              what runs
  tidegate describe rule boiler-overheats         one rule with its plan
  tidegate tail results --from earliest           results as lines of JSON
  tidegate replay -f rules.yaml --events day.ndjson   what would these rules have said?

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict.";

/// A rules engine for events of things: one program from event to action.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate", version, after_help = EXAMPLES, arg_required_else_help = true, infer_subcommands = false)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the engine
    #[command(
        after_help = "Examples:\n  tidegate serve\n  tidegate serve --data /var/lib/tidegate --listen 127.0.0.1:9000\n  TIDEGATE_LOG__FSYNC=100ms tidegate serve --config tidegate.toml\n\nSIGTERM or Ctrl-C: no new intake, the epoch under way is finished, a snapshot is written, exit 0."
    )]
    Serve(EngineArguments),
    /// Run the engine with made-up devices and rules, and show what happens
    Demo(DemoArguments),
    /// Bring documents in force: rules, resources, resource types
    #[command(
        after_help = "Examples:\n  tidegate apply -f rules.yaml\n  tidegate apply -f rules/ --dry-run\n  cat rules.yaml | tidegate apply -f -\n\nAll documents of all files are checked first; one that is wrong keeps all of them out."
    )]
    Apply(ApplyArguments),
    /// List rules, resources, tasks, shards or workers, or print one of them
    #[command(
        after_help = "Examples:\n  tidegate get rules\n  tidegate get resources --type boiler -o name\n  tidegate get tasks --rule means -o json\n  tidegate get resource boiler-1 -o yaml"
    )]
    Get(GetArguments),
    /// Tell all about one rule, resource or task
    #[command(
        after_help = "Examples:\n  tidegate describe rule boiler-overheats\n  tidegate describe task boiler-overheats/boiler-1"
    )]
    Describe(DescribeArguments),
    /// Say why a rule fired, or did not, on a resource
    #[command(
        after_help = "Examples:\n  tidegate why boiler-overheats boiler-1\n  tidegate why boiler-overheats boiler-1 --at 2026-01-01T00:05:00Z\n  tidegate why lines lines/L1"
    )]
    Why(WhyArguments),
    /// Delete a rule or a resource
    #[command(
        after_help = "Examples:\n  tidegate delete rule boiler-overheats\n  tidegate delete resource boiler-1 --revision 3"
    )]
    Delete(ChangeArguments),
    /// Let a rule run
    Enable(ChangeArguments),
    /// Stop a rule and keep its definition
    Disable(ChangeArguments),
    /// Run rules over events of a file or of a data folder, without an engine
    #[command(
        after_help = "Examples:\n  tidegate replay -f rules.yaml --events day.ndjson\n  zcat day.ndjson.gz | tidegate replay -f rules.yaml --ticks 1s\n  tidegate replay -f draft.yaml --data ./tidegate-data --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z\n\nThe same events and rules give the same bytes at every --batch and --shards."
    )]
    Replay(ReplayArguments),
    /// Print a rule of another platform as a document of ours
    #[command(
        after_help = "Examples:\n  tidegate import waylay template.json > rule.yaml\n  tidegate import waylay template.json | tidegate apply -f - --dry-run\n\nWhat cannot be said here is told with its path, all of it, and nothing is printed: exit code 1."
    )]
    Import(ImportArguments),
    /// Print what leaves the engine as lines of JSON
    #[command(
        after_help = "Examples:\n  tidegate tail results\n  tidegate tail alarms --from 2026-01-01T00:00:00Z\n  tidegate tail dlq --stop-at-end"
    )]
    Tail(TailArguments),
    /// Look at dead letters, and send them once more
    #[command(
        after_help = "Examples:\n  tidegate dlq list\n  tidegate dlq show 2:17\n  tidegate dlq send 2:17 2:18"
    )]
    Dlq(DlqArguments),
    /// Look at rows that came too late, and send them again to the rule that missed them
    Late(DlqArguments),
    /// Create our topics on a Kafka, or check those that are there
    #[command(
        after_help = "Examples:\n  tidegate topics check --config tidegate.toml\n  TIDEGATE_KAFKA__BROKERS=127.0.0.1:9092 tidegate topics create"
    )]
    Topics(TopicsArguments),
    /// Check or show the settings of the engine
    #[command(
        after_help = "Examples:\n  tidegate config check --config tidegate.toml\n  tidegate config show --origin"
    )]
    Config(ConfigArguments),
}

/// Settings of the engine on the command line; they win over file and environment.
#[derive(Clone, Debug, Default, Args)]
pub struct EngineArguments {
    /// Folder that holds everything [default: ./tidegate-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of the one port [default: 127.0.0.1:7878]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// File of settings (TOML)
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `topics`.
#[derive(Clone, Debug, Args)]
pub struct TopicsArguments {
    /// What to do with them
    #[command(subcommand)]
    pub command: TopicsCommand,
}

/// What to do with our topics.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicsCommand {
    /// Say what is wrong with them, and what to change
    Check(EngineArguments),
    /// Create those that are not there
    Create(EngineArguments),
}

/// What is imported.
#[derive(Clone, Debug, Args)]
pub struct ImportArguments {
    /// Whose rule it is
    pub platform: Platform,
    /// File with the rule, `-`: standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Platforms whose rules can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// A template of Waylay: JSON.
    Waylay,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name`, one per line.
    Name,
}

/// Where the engine is and how to print what it says.
#[derive(Clone, Debug, Args)]
pub struct ClientArguments {
    /// The engine
    #[arg(
        long,
        value_name = "URL",
        env = "TIDEGATE_SERVER",
        default_value = "http://127.0.0.1:7878"
    )]
    pub server: String,
    /// How to print it
    #[arg(
        short,
        long,
        value_enum,
        default_value_t,
        env = "TIDEGATE_OUTPUT",
        hide_env = true
    )]
    pub output: Output,
}

/// `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArguments {
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArguments,
    /// Stop by itself after this time
    #[arg(long, value_name = "DURATION")]
    pub stop_after: Option<Span>,
    /// Print lines instead of drawing a screen
    #[arg(long)]
    pub plain: bool,
}

/// `apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArguments {
    /// File with documents, folder of such files, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Check everything and say what would change, but change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The engine.
    #[command(flatten)]
    pub client: ClientArguments,
}

/// Things that can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListedKind {
    /// Rules.
    #[value(alias = "rule")]
    Rules,
    /// Resources.
    #[value(alias = "resource")]
    Resources,
    /// Resource types.
    #[value(alias = "type")]
    Types,
    /// Tasks.
    #[value(alias = "task")]
    Tasks,
    /// Sources.
    #[value(alias = "source")]
    Sources,
    /// Shards.
    #[value(alias = "shard")]
    Shards,
    /// Workers that share the shards.
    #[value(alias = "worker")]
    Workers,
}

/// `get`.
#[derive(Clone, Debug, Args)]
pub struct GetArguments {
    /// What to list
    pub kind: ListedKind,
    /// Only this one
    pub name: Option<String>,
    /// Resources: only of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub r#type: Option<String>,
    /// Tasks: only of this rule
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,
    /// Tasks: only of this resource
    #[arg(long, value_name = "ID")]
    pub resource: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The engine.
    #[command(flatten)]
    pub client: ClientArguments,
}

/// Things that can be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DescribedKind {
    /// A rule.
    Rule,
    /// A resource.
    Resource,
    /// A resource type.
    Type,
    /// A task.
    Task,
    /// A source.
    Source,
}

/// `describe`.
#[derive(Clone, Debug, Args)]
pub struct DescribeArguments {
    /// What it is
    pub kind: DescribedKind,
    /// Its name or id
    pub name: String,
    /// The engine.
    #[command(flatten)]
    pub client: ClientArguments,
}

/// `why`.
#[derive(Clone, Debug, Args)]
pub struct WhyArguments {
    /// The rule
    pub rule: String,
    /// The resource; of a rule without `for`, or of a join: the task, or its key
    pub resource: Option<String>,
    /// The moment; without it the newest firing, or how things stand
    #[arg(long, value_name = "TIME")]
    pub at: Option<tidegate_proto::time::Timestamp>,
    /// The engine.
    #[command(flatten)]
    pub client: ClientArguments,
}

/// Things that can be changed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChangedKind {
    /// A rule.
    Rule,
    /// A resource.
    Resource,
    /// A resource type.
    Type,
    /// A source.
    Source,
}

/// `delete`, `enable`, `disable`.
#[derive(Clone, Debug, Args)]
pub struct ChangeArguments {
    /// What it is
    pub kind: ChangedKind,
    /// Its name or id
    pub name: String,
    /// Revision that it must have; any other is a conflict
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
    /// The engine.
    #[command(flatten)]
    pub client: ClientArguments,
}

/// `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArguments {
    /// File with documents, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// File with events as lines of JSON, or - for standard input [default: -]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub events: Option<PathBuf>,
    /// Lines per epoch
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
    /// Shards
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub shards: u32,
    /// A tick at each multiple of this that the highest event time passes
    #[arg(long, value_name = "EVERY")]
    pub ticks: Option<Span>,
    /// At the end, move the clock and every watermark here
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<Timestamp>,
    /// Replay what this data folder has stored, instead of a file
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// With --data: from what was taken at this time on
    #[arg(long, value_name = "TIME", requires = "data")]
    pub from: Option<Timestamp>,
    /// With --data: up to what was taken at this time
    #[arg(long, value_name = "TIME", requires = "data")]
    pub to: Option<Timestamp>,
}

/// What can be tailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TailedTopic {
    /// Result lines.
    Results,
    /// What was raised, updated and cleared.
    Alarms,
    /// Changes of definitions and resources.
    Changes,
    /// Rows that came too late.
    Late,
    /// Dead letters.
    Dlq,
    /// Deliveries for handlers.
    Actions,
}

/// `tail`.
#[derive(Clone, Debug, Args)]
pub struct TailArguments {
    /// What to print
    pub topic: TailedTopic,
    /// Where to begin: earliest, latest or a time [default: latest, with --stop-at-end earliest]
    #[arg(long, value_name = "WHERE")]
    pub from: Option<String>,
    /// End where the log ends now, instead of waiting for more
    #[arg(long)]
    pub stop_at_end: bool,
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,
    /// Only of this resource
    #[arg(long, value_name = "ID")]
    pub resource: Option<String>,
    /// The engine
    #[arg(
        long,
        value_name = "URL",
        env = "TIDEGATE_SERVER",
        default_value = "http://127.0.0.1:7878"
    )]
    pub server: String,
}

/// `dlq`.
#[derive(Clone, Debug, Args)]
pub struct DlqArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// What to do with dead letters and late rows.
#[derive(Clone, Debug, Subcommand)]
pub enum DlqCommand {
    /// List them
    List {
        /// The engine.
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Print one
    Show {
        /// Its id, PARTITION:OFFSET
        id: String,
        /// The engine.
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Send some once more
    Send {
        /// Their ids, PARTITION:OFFSET
        #[arg(required = true)]
        ids: Vec<String>,
        /// The engine.
        #[command(flatten)]
        client: ClientArguments,
    },
}

/// `config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with settings.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the settings, tell all problems
    Check {
        /// Where they come from.
        #[command(flatten)]
        engine: EngineArguments,
    },
    /// Print all settings as TOML, without secrets
    Show {
        /// Where they come from.
        #[command(flatten)]
        engine: EngineArguments,
        /// Tell where each was written
        #[arg(long)]
        origin: bool,
    },
}
