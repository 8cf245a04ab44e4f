//! Notifications that a receiver has taken, or a part, without an answer that says so.

use super::{
    Finished,
    tests::{SIMPLE, Stage, given_up, note_incidents},
};

impl Stage {
    /// The receiver takes what is under way, of which nobody hears; the delivery ends as told, once it was
    /// looked at again.
    fn lose_answer(&mut self, meanwhile: impl FnOnce(&mut Stage), outcome: &Finished) {
        let (id, delivery) = self.under_way.pop_first().unwrap();
        note_incidents(&mut self.incidents, &delivery.message);
        meanwhile(self);
        let end_s = self.now_ms as f64 / 1000.0 + 2.0;
        self.until(end_s);
        self.dispatcher.finished(id, outcome, self.now_ms);
        self.refusing = false;
        self.settle();
    }
}

const STOPPED: Finished = Finished::Stopped { may_be_taken: true };

#[test]
fn a_beginning_that_was_perhaps_taken_is_followed_by_its_end() {
    for outcome in [given_up(true), STOPPED] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.refusing = true;
        stage.post("+a");
        stage.until(1.5);
        stage.lose_answer(|stage| stage.silence("a", 1000), &outcome);
        assert_eq!((stage.until(10.0), stage.incidents.len()), (vec![], 1), "{outcome:?}");
        stage.post("-a");
        assert_eq!((stage.until(20.0).len(), stage.incidents.len()), (1, 0), "{outcome:?}");
    }
}

#[test]
fn what_was_perhaps_told_to_be_over_is_told_when_it_fires_again() {
    for outcome in [given_up(true), STOPPED] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.post("+a");
        assert_eq!(stage.until(1.5), ["1 r +a"]);
        stage.refusing = true;
        stage.post("-a");
        stage.until(3.5);
        stage.lose_answer(|stage| stage.post("+a"), &outcome);
        assert_eq!((stage.until(20.0).len(), stage.incidents.len()), (1, 1), "{outcome:?}");
    }
}

/// It is in doubt at every try, and nothing of it was taken.
#[test]
fn who_gives_no_answer_for_long_is_told_once_when_it_is_back() {
    for (ends, expected) in [(false, "r +a"), (true, "r -a")] {
        let mut stage = Stage::new(SIMPLE, "");
        stage.refusing = true;
        stage.post("+a");
        for second in [12.0, 24.0, 36.0] {
            stage.until(second);
            let (id, _) = stage.under_way.pop_first().unwrap();
            stage.dispatcher.finished(id, &given_up(true), stage.now_ms);
            stage.settle();
        }
        if ends {
            stage.post("-a");
        }
        stage.refusing = false;
        let told = stage.until(100.0);
        assert!(told.len() == 1 && told[0].ends_with(expected), "{told:?}");
    }
}

#[test]
fn who_has_no_incidents_is_not_owed_the_end_of_what_was_perhaps_told() {
    let hook = "- {name: hook, webhook_configs: [{url: 'http://hook/'}]}\n";
    let mut stage = Stage::new(&format!("{SIMPLE}, routes: [{{receiver: hook}}]"), hook);
    stage.refusing = true;
    stage.post("+a");
    stage.until(12.0);
    let (id, delivery) = stage.under_way.pop_first().unwrap();
    assert_eq!(delivery.receiver, "hook");
    stage.post("-a");
    stage.dispatcher.finished(id, &given_up(true), stage.now_ms);
    stage.refusing = false;
    assert_eq!(stage.until(100.0), [""; 0]);
}

#[test]
fn who_was_perhaps_told_of_an_end_beside_what_fires_is_told_when_it_fires_again() {
    for outcome in [given_up(true), STOPPED] {
        let hook = "- {name: hook, webhook_configs: [{url: 'http://hook/'}]}\n";
        let mut stage = Stage::new(&format!("{SIMPLE}, routes: [{{receiver: hook}}]"), hook);
        stage.post("+a +b");
        assert_eq!(stage.until(1.5).len(), 1);
        stage.refusing = true;
        stage.post("-b");
        stage.until(3.5);
        stage.lose_answer(|stage| stage.post("+b"), &outcome);
        let told = stage.until(20.0);
        assert!(told.len() == 1 && told[0].contains("+b"), "{outcome:?}: {told:?}");
    }
}

#[test]
fn who_refuses_for_long_hears_nothing_of_what_was_over_before_it_was_back() {
    let mut stage = Stage::new(SIMPLE, "");
    stage.refusing = true;
    stage.post("+a");
    stage.until(12.0);
    let (id, _) = stage.under_way.pop_first().unwrap();
    stage.post("-a");
    stage.dispatcher.finished(id, &given_up(false), stage.now_ms);
    stage.refusing = false;
    assert_eq!(stage.until(100.0), [""; 0]);
}
