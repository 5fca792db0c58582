from controller.core.actions import ConfirmGone, PatchJob, Plan, ReadPods, RefreshJob, Rest, StoreResult
from controller.core.rules.merging import merge


def patch(uid="u", version="7", why="first", **annotations):
    return PatchJob("agents", "run-1", uid, version, annotations, why=why)


def test_patches_of_one_job_become_one_in_the_place_of_the_first():
    refresh, gone = RefreshJob("agents", "b", "b"), ConfirmGone("agents", "c", "c")
    plans = [Plan((patch(a="1"), refresh)), Plan((gone, patch(b="2", why="second")))]
    assert merge(plans).actions == (patch(a="1", b="2", why="first+second"), refresh, gone)


def test_where_patches_differ_the_earlier_rule_wins():
    plans = [Plan((patch(a="1", gone=None),)), Plan((patch(a="2", b="2", why="second"),))]
    (found,) = merge(plans).actions
    assert found.annotations == {"a": "1", "b": "2", "gone": None}


def test_what_is_removed_as_a_leftover_does_not_remove_what_is_said_now():
    plans = [Plan((patch(phase=None),)), Plan((patch(phase="Attached", why="second"),))]
    (found,) = merge(plans).actions
    assert found.annotations == {"phase": "Attached"}


def test_spec_and_template_labels_are_joined_too():
    first = PatchJob("agents", "run-1", "u", "7", spec={"suspend": False}, why="a")
    second = PatchJob("agents", "run-1", "u", "7", spec={"suspend": True, "parallelism": 0}, why="b")
    labelled = PatchJob("agents", "run-1", "u", "7", template_labels={"x": "y"}, why="c")
    (found,) = merge([Plan((first, second)), Plan((labelled,))]).actions
    assert (found.spec, found.template_labels) == ({"suspend": False, "parallelism": 0}, {"x": "y"})
    assert found.why == "a+b+c"


def test_a_guard_by_version_stays():
    plans = [Plan((patch(version=""),)), Plan((patch(version="7"),))]
    assert merge(plans).actions[0].version == "7"
    assert merge(reversed(plans)).actions[0].version == "7"


def test_patches_of_different_jobs_stay_apart():
    plans = [Plan((patch("u"), patch("v"))), Plan((patch("v", b="2"),))]
    assert [action.job_uid for action in merge(plans).actions] == ["u", "v"]


def test_the_whole_of_a_result_is_kept_before_any_patch_of_its_job():
    keep, refresh, end = (
        patch(why="keep"),
        RefreshJob("agents", "b", "b"),
        patch(phase="Failed", why="result"),
    )
    other, store = patch("v"), StoreResult("agents", "run-u", "run-1", "u", "{}", "5")
    found = merge([Plan((other, keep, refresh)), Plan((store, end))]).actions
    assert found == (other, store, patch(phase="Failed", why="keep+result"), refresh)


def test_the_earliest_time_to_look_again_counts():
    assert merge([Plan(look_again=5.0), Plan(), Plan(look_again=2.0)]).look_again == 2.0
    assert merge([Plan(), Plan()]).look_again is None


def test_all_marks_are_kept_once():
    assert merge([Plan(marks=("a", "b")), Plan(marks=("b", "c"))]).marks == ("a", "b", "c")


def test_nothing_to_merge_is_nothing_to_do():
    assert merge([]) == Plan()


def test_what_two_rules_want_to_know_is_asked_once():
    asked = ReadPods("agents", "u")
    assert merge([Plan((asked,)), Plan((asked, ReadPods("agents", "v")))]).actions == (
        asked,
        ReadPods("agents", "v"),
    )


def test_the_rests_of_all_plans_are_kept():
    first, second = Rest("u", 5.0), Rest("v", 7.0)
    assert merge([Plan(rests=(first,)), Plan(rests=(second,))]).rests == (first, second)
