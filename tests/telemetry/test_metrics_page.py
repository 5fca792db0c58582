from controller.telemetry.metrics import Metrics
from tests.telemetry import metrics_page


def test_the_page_is_what_the_code_counts():
    assert metrics_page.PAGE.read_text() == metrics_page.page()


def test_every_metric_that_is_scraped_is_on_the_page():
    metrics = Metrics()
    declared = {f.name.removesuffix("_total") for of in metrics.families.subjects.values() for f in of}
    scraped = {family.name for family in metrics.registry.collect() if not family.name.startswith("process_")}
    assert scraped == declared


def test_every_label_says_which_words_it_takes():
    labels = {
        label for of in Metrics().families.subjects.values() for family in of for label in family.labels
    }
    assert [label.name for label in labels if not label.known and not label.meaning] == []
