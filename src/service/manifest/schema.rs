//! The JSON schema of the manifest, for editors.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::written::Written;

/// Returns the JSON schema (draft 2020-12) of a manifest.
///
/// It comes from the same declaration as the reader. It knows keys, types and how single values are written; what
/// concerns several values (placeholders, clashes, hosts that exist) only [`super::read`] knows.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Written>().to_value()
}
