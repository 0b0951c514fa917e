//! Panels side by side, each with memory and processor over one thing that grows: an SVG, written by hand.

use std::fmt::Write as _;

/// One panel: what grows, megabytes, percent.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) points: Vec<(f64, f64, f64)>,
}

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 50.0;
const SERIES: [(&str, &str); 2] = [("RSS, MiB", "#1f77b4"), ("processor, percent of one", "#d62728")];

/// The picture. Both series share the axis that begins at 0.
pub(super) fn plot(panels: &[Panel]) -> String {
    let step = WIDTH + MARGIN;
    let width = step * super::float(panels.len() as u64) + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        HEIGHT + 2.0 * MARGIN
    );
    for (number, panel) in (0_u64..).zip(panels) {
        draw(&mut svg, MARGIN + step * super::float(number), panel);
    }
    for (number, (name, color)) in (0_u64..).zip(SERIES) {
        let x = MARGIN + 150.0 * super::float(number);
        line(
            &mut svg,
            format_args!("<text x=\"{x}\" y=\"14\" fill=\"{color}\">{name}</text>"),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, left: f64, panel: &Panel) {
    let bottom = MARGIN + HEIGHT;
    let most = |of: fn(&(f64, f64, f64)) -> f64| panel.points.iter().map(of).fold(1.0, f64::max);
    let (most_x, most_y) = (most(|p| p.0), most(|p| p.1.max(p.2)) * 1.1);
    line(
        svg,
        format_args!(
            "<path d=\"M{left} {MARGIN} V{bottom} H{}\" fill=\"none\" stroke=\"black\"/>\n\
             <text x=\"{left}\" y=\"{}\">{}</text>",
            left + WIDTH,
            bottom + 32.0,
            panel.title
        ),
    );
    for quarter in 0_u64..=4 {
        let share = super::float(quarter) / 4.0;
        let y = bottom - share * HEIGHT;
        line(
            svg,
            format_args!(
                "<path d=\"M{left} {y} h{WIDTH}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0}</text>",
                left - 5.0,
                y + 4.0,
                share * most_y
            ),
        );
    }
    let place = |x: f64, y: f64| (left + x / most_x * WIDTH, bottom - y / most_y * HEIGHT);
    for (series, (_, color)) in SERIES.iter().enumerate() {
        let mut path = String::new();
        for (number, (x, rss, percent)) in panel.points.iter().enumerate() {
            let (x_at, y_at) = place(*x, if series == 0 { *rss } else { *percent });
            let word = if number == 0 { 'M' } else { 'L' };
            write!(path, "{word}{x_at:.1} {y_at:.1} ").expect("writing to a string");
            line(
                svg,
                format_args!("<circle cx=\"{x_at:.1}\" cy=\"{y_at:.1}\" r=\"3\" fill=\"{color}\"/>"),
            );
            if series == 0 {
                line(
                    svg,
                    format_args!(
                        "<text x=\"{x_at:.1}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
                        bottom + 14.0
                    ),
                );
            }
        }
        line(
            svg,
            format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"{color}\"/>"),
        );
    }
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("writing to a string");
}
