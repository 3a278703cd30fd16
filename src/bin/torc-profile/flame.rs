//! The flame graph: every function that was seen on a stack is a bar as wide as its share of the samples, above the one
//! that called it; colours say what the CPU was doing.
//!
//! Drawn here rather than by the inferno crate: that one stands under the CDDL, as would the script in each picture,
//! and its colours are made for a light page only.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::stacks::{Category, Folded, Frame, frame_category};

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 12.0;
const ROW_HEIGHT: f64 = 18.0;
/// Above the bars: title and legend.
const HEAD_HEIGHT: f64 = 76.0;
/// Below them: the line that tells of the bar under the pointer.
const FOOT_HEIGHT: f64 = 34.0;
/// Of the font, which has a fixed width.
const CHAR_WIDTH: f64 = 7.2;
/// A narrower bar is left out, and so is a label that would not even hold this many characters.
const BAR_WIDTH_MIN: f64 = 0.4;
const LABEL_CHARS_MIN: usize = 3;
/// Deeper stacks are cut off at the top.
const DEPTH_MAX: usize = 120;

/// Colours by category, on a light page and on a dark one; the labels are dark on both.
fn colours(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::User => ("#8cc5f5", "#6fa8dc"),
        Category::SyscallEntry => ("#f7a8a0", "#e08a82"),
        Category::Tcp => ("#f9cf7d", "#dfb458"),
        Category::WakeUps => ("#e3a7e8", "#c78acc"),
        Category::IoUring => ("#92dba5", "#74bf88"),
        Category::Epoll => ("#b5dd77", "#98c05c"),
        Category::Switching => ("#c3b3f3", "#a695d9"),
        Category::PageFaults => ("#d9bfa6", "#bfa389"),
        Category::Other => ("#cdd3da", "#a9b1ba"),
    }
}

fn class(category: Category) -> String {
    format!("c{}", Category::ALL.iter().position(|other| *other == category).unwrap_or(0))
}

/// One bar, and those on top of it.
#[derive(Default)]
struct Node<'a> {
    samples: u64,
    callees: BTreeMap<&'a Frame, Node<'a>>,
}

impl Node<'_> {
    fn depth(&self) -> usize {
        1 + self.callees.values().map(Node::depth).max().unwrap_or(0)
    }
}

/// Draws stacks. The CPU time per request, where known, gives the bars a figure beside their share.
pub(crate) fn draw(title: &str, folded: &Folded, cpu_ns: Option<f64>) -> String {
    let mut root = Node::default();
    for (stack, samples) in folded {
        root.samples += samples;
        let mut node = &mut root;
        for frame in stack.iter().take(DEPTH_MAX) {
            node = node.callees.entry(frame).or_default();
            node.samples += samples;
        }
    }
    let height = HEAD_HEIGHT + root.depth() as f64 * ROW_HEIGHT + FOOT_HEIGHT;
    let mut drawing = Drawing { svg: String::new(), samples: root.samples.max(1), floor: height - FOOT_HEIGHT, cpu_ns };
    drawing.head(title, height);
    drawing.bar("all", Category::Other, root.samples, MARGIN, 0);
    drawing.callees(&root, Category::Other, MARGIN, 1);
    drawing.svg.push_str("</g>\n");
    let _ = writeln!(drawing.svg, "<text id=\"told\" x=\"{MARGIN}\" y=\"{:.1}\"></text>", height - 12.0);
    drawing.svg.push_str(SCRIPT);
    drawing.svg.push_str("</svg>\n");
    drawing.svg
}

struct Drawing {
    svg: String,
    samples: u64,
    /// Where the lowest bar ends.
    floor: f64,
    cpu_ns: Option<f64>,
}

impl Drawing {
    fn head(&mut self, title: &str, height: f64) {
        let svg = &mut self.svg;
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
             font-size=\"12\">"
        );
        let (mut light, mut dark) = (String::new(), String::new());
        for category in Category::ALL {
            let (on_light, on_dark) = colours(category);
            let _ = write!(light, ".{}{{fill:{on_light}}}", class(category));
            let _ = write!(dark, ".{}{{fill:{on_dark}}}", class(category));
        }
        let _ = writeln!(
            svg,
            "<style>#page{{fill:#ffffff}}text{{fill:#1f2328}}{light}.bar rect{{stroke:#ffffff;stroke-width:.6}}\
             .bar text{{fill:#16191d;pointer-events:none}}.bar{{cursor:pointer}}.bar:hover rect{{stroke:#16191d;stroke-width:1.2}}\
             @media (prefers-color-scheme:dark){{#page{{fill:#0d1117}}text{{fill:#e6edf3}}{dark}.bar rect{{stroke:#0d1117}}\
             .bar text{{fill:#0d1117}}.bar:hover rect{{stroke:#ffffff}}}}</style>"
        );
        let _ = writeln!(svg, "<rect id=\"page\" width=\"100%\" height=\"100%\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"24\" font-size=\"16\" font-weight=\"600\">{}</text>",
            escaped(title)
        );
        let unit =
            if self.cpu_ns.is_some() { "share of its CPU time, and ns per request" } else { "share of its CPU time" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"24\" text-anchor=\"end\">{} stacks; width: {unit}</text>",
            WIDTH - MARGIN,
            self.samples
        );
        let mut x = MARGIN;
        for category in Category::ALL {
            let label = category.label();
            let _ = writeln!(
                svg,
                "<rect class=\"{}\" x=\"{x:.1}\" y=\"42\" width=\"14\" height=\"14\" rx=\"2\"/><text x=\"{:.1}\" y=\"53\">{label}</text>",
                class(category),
                x + 19.0
            );
            x += 19.0 + (label.len() as f64 + 2.5) * CHAR_WIDTH;
        }
        svg.push_str("<g id=\"bars\">\n");
    }

    /// Draws the functions that `node` called, from `x` on. One that no rule knows works for its caller.
    fn callees(&mut self, node: &Node<'_>, caller: Category, mut x: f64, depth: usize) {
        for (frame, callee) in &node.callees {
            let width = self.width(callee.samples);
            if width >= BAR_WIDTH_MIN {
                let category = frame_category(frame).unwrap_or(caller);
                self.bar(&frame.function, category, callee.samples, x, depth);
                self.callees(callee, category, x, depth + 1);
            }
            x += width;
        }
    }

    fn width(&self, samples: u64) -> f64 {
        (WIDTH - 2.0 * MARGIN) * samples as f64 / self.samples as f64
    }

    fn bar(&mut self, label: &str, category: Category, samples: u64, x: f64, depth: usize) {
        let (width, y) = (self.width(samples), self.floor - (depth + 1) as f64 * ROW_HEIGHT);
        let share = samples as f64 / self.samples as f64;
        let cost = self.cpu_ns.map_or(String::new(), |ns| format!(", {:.0} ns per request", ns * share));
        let name = escaped(label);
        let class = class(category);
        let _ = write!(
            self.svg,
            "<g class=\"bar\"><title>{name}: {:.2} %{cost}</title><rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.1}\" \
             width=\"{width:.2}\" height=\"{:.1}\" rx=\"1\"/>",
            share * 100.0,
            ROW_HEIGHT - 1.0
        );
        let shown = fitting(label, width);
        let _ = writeln!(self.svg, "<text x=\"{:.2}\" y=\"{:.1}\">{}</text></g>", x + 3.0, y + 12.5, escaped(&shown));
    }
}

/// As much of a label as fits, or nothing.
fn fitting(label: &str, width: f64) -> String {
    let room = ((width - 6.0) / CHAR_WIDTH).max(0.0) as usize;
    let chars = label.chars().count();
    if chars <= room {
        label.to_owned()
    } else if room < LABEL_CHARS_MIN {
        String::new()
    } else {
        label.chars().take(room - 1).chain(['…']).collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Tells of the bar under the pointer; a click widens a bar to the whole width, one on the lowest resets.
const SCRIPT: &str = r#"<script><![CDATA[
(() => {
  const bars = [...document.querySelectorAll('.bar')].map(group => {
    const [title, rect, text] = group.children;
    const number = name => parseFloat(rect.getAttribute(name));
    return {group, rect, text, title: title.textContent, x: number('x'), y: number('y'), width: number('width')};
  });
  if (!bars.length) return;
  const whole = bars[0], told = document.getElementById('told'), charWidth = 7.2;
  const show = (bar, x, width) => {
    bar.group.style.display = width < 0.4 ? 'none' : '';
    bar.rect.setAttribute('x', x);
    bar.rect.setAttribute('width', Math.max(width, 0));
    bar.text.setAttribute('x', x + 3);
    const name = bar.title.replace(/: [0-9.]+ %(, [0-9]+ ns per request)?$/, '');
    const room = Math.max(Math.floor((width - 6) / charWidth), 0);
    bar.text.textContent = name.length <= room ? name : room < 3 ? '' : name.slice(0, room - 1) + '…';
  };
  const widen = chosen => {
    const left = chosen.x, right = chosen.x + chosen.width, scale = whole.width / chosen.width;
    for (const bar of bars) {
      const below = bar.y > chosen.y && bar.x <= left + 0.01 && bar.x + bar.width >= right - 0.01;
      const above = bar.y <= chosen.y && bar.x >= left - 0.01 && bar.x + bar.width <= right + 0.01;
      if (below) show(bar, whole.x, whole.width);
      else if (above) show(bar, whole.x + (bar.x - left) * scale, bar.width * scale);
      else bar.group.style.display = 'none';
    }
  };
  for (const bar of bars) {
    bar.group.addEventListener('mouseenter', () => { told.textContent = bar.title; });
    bar.group.addEventListener('mouseleave', () => { told.textContent = ''; });
    bar.group.addEventListener('click', () => widen(bar));
  }
})();
]]></script>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn folded() -> Folded {
        let frame = |function: &str, kernel| Frame { function: function.to_owned(), kernel };
        let (main, send, wake) = (frame("<main>", false), frame("tcp_sendmsg", true), frame("try_to_wake_up", true));
        Folded::from([
            (vec![main.clone(), send.clone(), wake], 25),
            (vec![main.clone(), send], 25),
            (vec![main.clone()], 49),
            (vec![main, frame("rare", false)], 1),
        ])
    }

    #[test]
    fn bars_are_as_wide_as_their_share() {
        let svg = draw("A & B", &folded(), Some(2000.0));
        let bar = |name: &str| {
            let start = svg.find(&format!("<title>{name}: ")).unwrap_or_else(|| panic!("no {name} in {svg}"));
            svg[start..].split_once("</g>").unwrap().0.to_owned()
        };
        assert!(bar("&lt;main&gt;").contains("100.00 %, 2000 ns per request"));
        assert!(bar("tcp_sendmsg").contains("width=\"588.00\"") && bar("tcp_sendmsg").contains("50.00 %, 1000 ns"));
        assert!(bar("try_to_wake_up").contains("class=\"c3\""), "{}", bar("try_to_wake_up"));
        assert!(bar("rare").ends_with("></text>"), "a bar too narrow for its label: {}", bar("rare"));
        assert!(svg.contains("A &amp; B") && svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn labels_are_cut_to_their_bars() {
        assert_eq!(fitting("tcp_sendmsg", 200.0), "tcp_sendmsg");
        assert_eq!(fitting("tcp_sendmsg", 50.0), "tcp_s…");
        assert_eq!(fitting("tcp_sendmsg", 20.0), "");
    }

    #[test]
    fn no_stacks_make_an_empty_picture() {
        assert!(draw("none", &Folded::new(), None).ends_with("</svg>\n"));
    }
}
