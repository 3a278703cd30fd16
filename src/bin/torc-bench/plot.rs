//! Draws a comparison as SVG.

#![forbid(unsafe_code)]

use crate::cli::PlotArgs;

pub(crate) fn run(_args: &PlotArgs) -> anyhow::Result<()> {
    anyhow::bail!("not drawn yet")
}
