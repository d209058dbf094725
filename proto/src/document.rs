//! Documents: YAML or JSON text with positions, to rules and resources with all problems at once.
