//! The model, as somebody sees it who presses keys.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use liege_core::{Detail, Health, MountView, Order, Phase, Reply, Time, Usage, VassalView, Verdict, View};
use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::{
    event::{Answer, Ask, Event, Wish},
    frame::draw,
    model::Model,
};
use crate::{Failure, testing::vassal};

fn view() -> View {
    let shop = VassalView {
        loyal: true,
        mounts: vec![MountView { health: Some(Health::Dead { errno: 107 }), micros: 40, ..MountView::new("/app") }],
        restarts: vec![("exit".into(), 2)],
        usage: Some(Usage { processes: 5, rss: 43_200_000, cpu: 1.0 }),
        last_cause: Some("the app exited with status 3".into()),
        last_end: Some(Time(6_000_000)),
        ..vassal("shop.ini")
    };
    let blog = VassalView { usage: Some(Usage { processes: 2, rss: 90_000_000, cpu: 1.0 }), ..vassal("blog.ini") };
    let wiki = VassalView { phase: Phase::Suspended, up_since: None, pid: None, ..vassal("wiki.ini") };
    let unusable = vec![("bad.ini".into(), "bad.ini:2:1: no such user".into())];
    View { now: Time(66_000_000), vassals: vec![blog, shop, wiki], unusable, ..View::default() }
}

fn model(columns: u16, lines: u16) -> Model {
    let mut model = Model::new((columns, lines), true);
    assert_eq!(model.on(Event::View(view())), None);
    model
}

fn key(model: &mut Model, code: KeyCode) -> Option<Wish> {
    model.on(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn keys(model: &mut Model, keys: &str) -> Option<Wish> {
    keys.chars().map(|letter| key(model, KeyCode::Char(letter))).last().flatten()
}

fn painted(model: &Model) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| draw(model, frame)).unwrap();
    terminal
}

/// What is on the screen, without blanks at the ends of lines.
fn screen(model: &Model) -> Vec<String> {
    let terminal = painted(model);
    let buffer = terminal.backend().buffer();
    let width = usize::from(model.size.0);
    let lines = buffer.content().chunks(width);
    lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
}

/// The names, from top to bottom.
fn names(model: &Model) -> String {
    model.rows.iter().map(|row| row.name.trim_end_matches(".ini")).collect::<Vec<_>>().join(" ")
}

#[test]
fn sixty_columns_and_ten_lines_are_enough() {
    let shown = screen(&model(60, 10));
    assert_eq!(
        shown,
        [
            "4 vassals, 2 running, 1 ill, 1 bad",
            " *NAME    STATE       UP     RESTARTS  MEMORY  CPU   MOUNTS",
            ">bad.ini  bad file    -      0         -       -     -",
            " blog.ini running     1m05s  0         85.8M   -     -",
            " shop.ini running     1m05s  2         41.2M   -     dead",
            " wiki.ini stopped     -      0         -       -     -",
            "",
            "",
            "",
            "s:sort /:filter r,R,S,a:orders l:log c:cause q:quit",
        ]
    );
}

#[test]
fn a_wide_terminal_shows_checks_ends_and_why() {
    let mut model = model(150, 20);
    keys(&mut model, "jj");
    let mut later = view();
    later.now = Time(68_000_000);
    later.vassals[1].restarts = vec![("exit".into(), 3)];
    later.vassals[1].mounts[0].micros = 20_000;
    later.vassals[1].usage = Some(Usage { processes: 5, rss: 43_200_000, cpu: 1.5 });
    model.on(Event::Tick(Duration::from_secs(2)));
    model.on(Event::View(later));
    model.on(Event::Tick(Duration::from_secs(2)));
    let shown = screen(&model);
    let shop = shown.iter().find(|line| line.starts_with(">shop.ini")).unwrap();
    for part in ["running, loyal", "1m09s", "3  ", "41.2M", "25.0%", "/app:dead", "▁▅", "·▂", "the app exited with status 3"]
    {
        assert!(shop.contains(part), "{part}: {shop}");
    }
    model.on(Event::Tick(Duration::from_secs(5)));
    assert!(
        screen(&model).iter().any(|line| line.starts_with(">shop.ini") && line.contains("  0.0%")),
        "a silent daemon has seen no change"
    );
    assert!(shown[15].contains("shop.ini: 1m02s ago: the app exited"), "{shown:#?}");
    assert!(shown[18].starts_with("checks ▁▅ 20.00ms  ends ·▂"), "{shown:#?}");
}

#[test]
fn the_reason_of_the_selected_row_is_shown_whole() {
    let why = "\"fuse: bad mount point `/w/nomp': No such file or directory\", exited with status 1 (mkdir the mount point): \
               exec fuse-zip -r /w/z.zip /w/nomp (shop.ini:12: exec-as-user)";
    for (columns, lines) in [(80, 24), (160, 40)] {
        let mut model = model(columns, lines);
        let mut view = view();
        view.vassals[1].last_cause = Some(why.into());
        model.on(Event::View(view));
        keys(&mut model, "jj");
        let shown = screen(&model);
        let words: Vec<&str> = shown.iter().flat_map(|line| line.split_whitespace()).collect();
        assert!(words.join(" ").contains(why), "{shown:#?}");
        assert!(shown[usize::from(lines) - 2].contains("ends"), "{shown:#?}");
    }
}

#[test]
fn states_have_colours_where_colours_are_wanted() {
    let mut model = model(80, 10);
    let colour = |model: &Model, line| painted(model).backend().buffer()[(1, line)].fg;
    assert_eq!([2, 3, 4].map(|line| colour(&model, line)), [Color::Red, Color::Reset, Color::Red]);
    model.colours = false;
    assert_eq!([2, 3, 4].map(|line| colour(&model, line)), [Color::Reset; 3]);
}

#[test]
fn no_terminal_is_too_small() {
    for columns in [0, 1, 2, 7, 9, 20, 33, 59, 81, 99, 100, 300] {
        for lines in [0, 1, 2, 3, 5, 11, 12, 13, 40] {
            let mut model = model(60, 10);
            model.on(Event::Resized(columns, lines));
            if columns > 0 && lines > 0 {
                screen(&model);
            }
            key(&mut model, KeyCode::PageDown);
            keys(&mut model, "c");
            key(&mut model, KeyCode::PageDown);
            if columns > 0 && lines > 0 {
                screen(&model);
            }
        }
    }
}

#[test]
fn sorting_leads_to_the_first_and_who_was_chosen_is_followed() {
    let mut model = model(60, 10);
    assert_eq!(names(&model), "bad blog shop wiki");
    keys(&mut model, "jj");
    keys(&mut model, "ssss");
    assert_eq!((names(&model).as_str(), model.selected.as_deref()), ("blog shop bad wiki", Some("blog.ini")));
    let mut grown = view();
    grown.vassals[1].usage = Some(Usage { processes: 5, rss: 99_000_000, cpu: 1.0 });
    model.on(Event::View(grown));
    assert_eq!((names(&model).as_str(), model.selected.as_deref()), ("shop blog bad wiki", Some("shop.ini")));
    keys(&mut model, "j");
    model.on(Event::View(view()));
    assert_eq!((names(&model).as_str(), model.selected.as_deref()), ("blog shop bad wiki", Some("blog.ini")));
    assert!(screen(&model)[1].contains("*MEMORY"));
    keys(&mut model, "o");
    assert_eq!(names(&model), "wiki bad shop blog");
    assert!(screen(&model)[1].contains("^MEMORY"));
}

#[test]
fn a_filter_looks_at_names_and_states() {
    let mut model = model(60, 10);
    keys(&mut model, "/RUNX");
    assert_eq!(names(&model), "");
    screen(&model);
    key(&mut model, KeyCode::Backspace);
    assert_eq!(names(&model), "blog shop");
    key(&mut model, KeyCode::Enter);
    assert_eq!((keys(&mut model, "j"), model.selected.as_deref()), (None, Some("shop.ini")));
    assert!(screen(&model)[0].ends_with("only /RUN/"), "{}", screen(&model)[0]);
    key(&mut model, KeyCode::Esc);
    assert_eq!(names(&model), "bad blog shop wiki");
}

#[test]
fn an_order_is_given_only_after_a_yes() {
    let mut model = model(60, 10);
    keys(&mut model, "jj");
    for (letter, order) in [("r", Order::Reload), ("R", Order::Restart), ("S", Order::Stop), ("a", Order::Start)] {
        assert_eq!(keys(&mut model, letter), None);
        let asked = format!("{} shop.ini? y: yes, any other key: no", order.word());
        assert_eq!(screen(&model)[9], asked);
        assert_eq!(keys(&mut model, "q"), None, "no, and no end either");
        keys(&mut model, letter);
        // Whom it was asked about stays, whatever becomes of the table.
        let mut fewer = view();
        fewer.vassals.remove(1);
        model.on(Event::View(fewer));
        assert_eq!(keys(&mut model, "y"), Some(Wish::Ask(Ask::Order("shop.ini".into(), order))));
        model.on(Event::View(view()));
        keys(&mut model, "gjj");
    }
    let reply = Reply { answer: Verdict::Nothing, why: Some("it is stopped".into()) };
    model.on(Event::Told(Answer::Order("shop.ini".into(), Order::Stop, Ok(reply))));
    assert_eq!(screen(&model)[9], "stop shop.ini: nothing to do: it is stopped");
    keys(&mut model, "j");
    assert!(screen(&model)[9].starts_with("s:sort"));
}

#[test]
fn who_is_gone_is_followed_by_the_next() {
    let mut model = model(60, 10);
    keys(&mut model, "jj");
    let mut fewer = view();
    fewer.vassals.remove(1);
    model.on(Event::View(fewer));
    assert_eq!(model.selected.as_deref(), Some("wiki.ini"));
    model.on(Event::View(View::default()));
    assert_eq!(model.selected, None);
    assert_eq!(keys(&mut model, "Sy"), None, "nobody is meant");
}

#[test]
fn the_log_is_a_page_that_goes_on() {
    let mut model = model(60, 10);
    keys(&mut model, "j");
    assert_eq!(keys(&mut model, "l"), Some(Wish::Ask(Ask::Log("blog.ini".into()))));
    assert_eq!(model.on(Event::Tick(Duration::from_secs(1))), None, "one question at a time");
    let lines = |count| (0..count).map(|n| format!("{n}Z app: line {n}\x1b[2J\n").into_bytes()).collect();
    model.on(Event::Told(Answer::Log("blog.ini".into(), Ok(lines(20)))));
    let shown = screen(&model);
    assert_eq!(shown[0], "the last lines of blog.ini (13-20/20)");
    assert_eq!(shown[8], "19Z app: line 19\\u{1b}[2J", "{shown:#?}");
    assert_eq!(model.on(Event::Tick(Duration::from_secs(1))), Some(Wish::Ask(Ask::Log("blog.ini".into()))));
    keys(&mut model, "k");
    model.on(Event::Told(Answer::Log("blog.ini".into(), Ok(lines(40)))));
    assert_eq!(screen(&model)[0], "the last lines of blog.ini (12-19/40)");
    key(&mut model, KeyCode::Esc);
    model.on(Event::Told(Answer::Log("blog.ini".into(), Ok(lines(1)))));
    assert!(screen(&model)[3].starts_with(">blog.ini"), "an answer that comes late opens nothing");
}

#[test]
fn the_cause_is_told_as_status_does() {
    let mut model = model(60, 10);
    keys(&mut model, "jj");
    assert_eq!(key(&mut model, KeyCode::Enter), Some(Wish::Ask(Ask::Detail("shop.ini".into()))));
    let of = Detail {
        now: view().now,
        at: 0.0,
        vassal: view().vassals.get(1).cloned(),
        unusable: None,
        unread: false,
        listens: Vec::new(),
        deaths: Vec::new(),
        deaths_unread: false,
    };
    model.on(Event::Told(Answer::Detail("shop.ini".into(), Ok(Box::new(of)))));
    let shown = screen(&model);
    assert!(shown[1] == "shop.ini: running, loyal" && shown[2].starts_with("  pid       42 (its init)"), "{shown:#?}");
    keys(&mut model, "l");
    model.on(Event::Told(Answer::Log("shop.ini".into(), Err(Failure::Refused { vassal: None, why: "it has no log".into() }))));
    assert_eq!(screen(&model)[1], "refused: it has no log");
}

#[test]
fn q_and_control_c_are_the_end() {
    assert_eq!(keys(&mut model(60, 10), "q"), Some(Wish::Quit));
    assert_eq!(keys(&mut model(60, 10), "lq"), Some(Wish::Quit));
    assert_eq!(keys(&mut model(60, 10), "/q"), None, "a letter of the filter");
    for before in ["", "/", "S", "c"] {
        let mut model = model(60, 10);
        keys(&mut model, before);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(model.on(Event::Key(control_c)), Some(Wish::Quit), "{before}");
    }
}
