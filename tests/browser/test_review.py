"""The review page in a real browser: one key decides, nothing is lost, and nothing that it shows can harm it."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from review_room import item, usual_room, write_media, write_room

from browser import chromium, faults, opened, served, shown
from tessera.records.decisions import Decision, read_decisions
from tessera.records.log import append_row
from tessera.records.tables.review import CLIPS, FRAMES, IDENTITIES

CLASSIFIERS = {"blur": ["sharp", "soft"], "noise": {"least": 0.0, "most": 10.0}}
FIRST, SECOND = "film-0000000-1", "film-0000100-1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    usual_room(tmp_path)
    with served(tmp_path) as (address, _), opened(browser, address) as found:
        yield to_clips(found)


def to_clips(page: Page) -> Page:
    """Return `page` after it shows the first clip."""
    page.get_by_role("button", name=re.compile("^clips ")).click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", FIRST)
    return page


def decisions(folder: Path) -> list[tuple[str, str, str]]:
    """Return the key, the decision and the label of each decision in force."""
    found = read_decisions(folder / "config" / "decisions.tsv", CLASSIFIERS)
    return [(each.key, each.decision, each.label) for each in found]


def after(page: Page, place: str, key: str) -> None:
    """Press `key`, and wait until the item `place` is shown."""
    page.keyboard.press(key)
    expect(page.locator("section.one")).to_have_attribute("aria-label", place)


def test_one_key_decides_and_shows_the_next_item(page: Page, tmp_path: Path) -> None:
    expect(page.locator("section.one")).to_have_attribute("aria-label", FIRST)
    after(page, SECOND, "d")
    assert decisions(tmp_path) == [(FIRST, "drop", "")]
    page.keyboard.press("k")
    expect(page.locator(".decided")).to_contain_text("keep")
    page.keyboard.press("u")
    expect(page.locator(".decided")).to_have_count(0)
    after(page, FIRST, "u")
    expect(page.locator(".decided")).to_have_count(0)
    assert decisions(tmp_path) == []
    after(page, SECOND, "ArrowRight")
    after(page, FIRST, "ArrowLeft")


def test_clips_play_in_a_loop_slower_and_frame_by_frame_beside_their_neighbours(page: Page) -> None:
    expect(page.locator(".around figcaption")).to_have_text(["after it"])
    page.wait_for_function("() => document.querySelector('.stage video').currentTime > 0")
    video = page.locator(".stage video")
    assert video.evaluate("each => each.loop && each.muted && !each.paused")
    page.keyboard.press(",")
    before = video.evaluate("each => each.currentTime")
    page.keyboard.press(".")
    assert video.evaluate("each => each.paused") and video.evaluate("each => each.currentTime") > before
    page.keyboard.press("s")
    assert video.evaluate("each => each.playbackRate") == 0.5
    assert "/outlined" in (video.get_attribute("src") or "")
    page.keyboard.press("o")
    expect(page.locator(".stage video")).to_have_attribute("src", first_clip(page))


def first_clip(page: Page) -> str:
    """Return the address of the first clip without an outline."""
    version = page.evaluate("() => fetch('api/state').then((answer) => answer.json()).then((state) => state.version)")
    return f"media/{version}/0/clip"


def test_an_answer_is_about_the_item_that_was_asked_about(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="identities 0/2").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000007-person-0")
    page.keyboard.press("m")
    page.locator("#answer").fill("Lea")
    write_room(tmp_path, [item(IDENTITIES, "other-0000001-person-0", picture=write_media(tmp_path)["picture"])])
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.keyboard.press("Enter")
    expect(page.locator("#banner")).to_contain_text("the workflow ran again")
    assert not (tmp_path / "config").exists()


def test_a_conflict_that_is_met_is_overruled_by_the_same_key_with_shift(page: Page, tmp_path: Path) -> None:
    expect(page.locator("section.one")).to_have_attribute("aria-label", FIRST)
    row = {"key": FIRST, "decision": "keep", "who": "Bo", "when": "2026-01-31"}
    append_row(tmp_path / "config" / "decisions.tsv", row, list(Decision.model_fields))
    page.keyboard.press("d")
    expect(page.locator("#banner")).to_contain_text("Bo, 2026-01-31: keep")
    after(page, SECOND, "Shift+D")
    assert decisions(tmp_path) == [(FIRST, "drop", "")]


def test_a_key_that_types_a_control_with_shift_is_that_control(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="labels 0/2").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "set+1")
    # As on a German keyboard.
    key = "{ key: '/', code: 'Digit2', shiftKey: true, bubbles: true }"
    page.evaluate(f"() => document.body.dispatchEvent(new KeyboardEvent('keydown', {key}))")
    expect(page.locator("[name=find]")).to_be_focused()
    assert not (tmp_path / "config").exists()


def test_several_items_of_the_grid_are_decided_at_once(tmp_path: Path, browser: Browser) -> None:
    media = write_media(tmp_path)
    write_room(tmp_path, [item(FRAMES, f"film-{number:07}", picture=media["picture"]) for number in range(12)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("v")
        expect(page.locator(".tile")).to_have_count(12)
        for number in (1, 4, 7):
            page.locator(".tile").nth(number).click()
        page.keyboard.press("n")
        expect(page.locator(".tile p.decided")).to_have_count(3)
    keys = [f"film-{number:07}" for number in (1, 4, 7)]
    assert decisions(tmp_path) == [(key, "negative", "") for key in keys]


def test_typing_in_a_filter_decides_nothing(page: Page, tmp_path: Path) -> None:
    page.keyboard.press("f")
    expect(page.get_by_label("last run")).to_be_focused()
    page.keyboard.type("dropped")
    expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
    page.keyboard.type("duv")
    assert not (tmp_path / "config").exists()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(page.locator(".decided")).to_contain_text("drop")
    page.keyboard.press("/")
    page.keyboard.type("nothing has this name")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("Choose other filters")
    assert decisions(tmp_path) == [(SECOND, "drop", "")]


def test_the_grid_is_walked_selected_decided_and_taken_back_by_keyboard(tmp_path: Path, browser: Browser) -> None:
    media = write_media(tmp_path)
    write_room(tmp_path, [item(CLIPS, f"film-{number:07}-1", 1 - number / 50, clip=media["clip"]) for number in range(24)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("v")
        expect(page.locator(".tile")).to_have_count(24)
        wide = page.evaluate("() => getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length")
        page.keyboard.press("ArrowDown")
        expect(page.locator(".tile").nth(wide)).to_be_focused()
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+Space")
        expect(page.locator("#count")).to_have_text(f"{wide + 3} of 24, 3 selected")
        expect(page.locator(".tile[aria-selected=true]")).to_have_count(3)
        page.keyboard.press("d")
        expect(page.locator("#banner")).to_contain_text("3 items: drop. u takes this back.")
        expect(page.locator("#queues button")).to_have_text(["clips 3/24"])
        page.keyboard.press("u")
        expect(page.locator("#queues button")).to_have_text(["clips 0/24"])
        assert decisions(tmp_path) == []
        page.keyboard.press("Control+a")
        expect(page.locator(".tile[aria-selected=true]")).to_have_count(24)
        page.keyboard.press("Escape")
        expect(page.locator(".tile[aria-selected=true]")).to_have_count(0)
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000023-1")
        page.keyboard.press("u")
        expect(page.locator("#banner")).to_have_text("There is nothing of yours to take back here.")


def test_a_page_that_is_loaded_again_shows_the_same_and_a_new_one_what_is_not_decided(page: Page, tmp_path: Path) -> None:
    after(page, SECOND, "d")
    page.reload()
    expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
    after(page, "film-0000007-person-0", "q")
    page.reload()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000007-person-0")
    after(page, SECOND, "Shift+Q")
    page.keyboard.press("w")
    expect(page.locator("#banner")).to_contain_text("All of these are decided")
    assert "drop\twatermark\tAda" in (tmp_path / "config" / "decisions.tsv").read_text()


def test_classes_and_names_are_given_by_keys(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="labels 0/2").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "set+1")
    after(page, "set+2", "2")
    page.keyboard.press("r")
    page.locator("#answer").fill("2.5")
    page.keyboard.press("Enter")
    expect(page.locator(".decided")).to_contain_text("relabel 2.5")
    assert decisions(tmp_path) == [("set+1", "relabel", "soft"), ("set+2", "relabel", "2.5")]
    page.get_by_role("button", name="identities 0/2").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000007-person-0")
    page.keyboard.press("r")
    page.locator("#answer").fill('Eve <b>"x')
    page.keyboard.press("Enter")
    expect(page.locator("#banner")).to_contain_text("a name should not contain")
    page.keyboard.press("m")
    page.locator("#answer").fill("Eve O'Neil")
    page.keyboard.press("Enter")
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000008-person-0")
    assert "Eve O'Neil" in (tmp_path / "config" / "identities.tsv").read_text()


def test_regions_are_marked_by_their_numbers_and_become_the_label(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="frames 0/1").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000007")
    expect(page.locator(".frame path.marked")).to_have_count(1)
    expect(page.get_by_role("button", name="1 nsfw 0.90")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    expect(page.locator(".frame path.marked")).to_have_count(2)
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="1 nsfw 0.90")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("a")
    expect(page.locator(".decided")).to_contain_text("labelled as shown")
    assert decisions(tmp_path) == [("film-0000007", "keep", "")]
    (label,) = (tmp_path / "labels").rglob("*.json")
    assert len(json.loads(label.read_text())["shapes"]) == 1
    page.keyboard.press("u")
    expect(page.locator(".decided")).to_have_count(0)
    assert not label.exists()


def test_names_are_text_whatever_they_contain(tmp_path: Path, browser: Browser) -> None:
    evil = "<img src=x onerror=\"document.title='evil'\">\n'&amp;"
    media = write_media(tmp_path)
    more = {"label": evil, "suggested": evil, "detail": evil, "beside": media["picture"], "beside_text": evil}
    write_room(tmp_path, [item(FRAMES, evil, source=evil, reason=evil, picture=media["picture"], **more)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        expect(page.locator("section.one")).to_have_attribute("aria-label", evil)
        assert page.locator("dd").first.text_content() == evil
        for key in ("v", "v", "?"):
            page.keyboard.press(key)
        assert page.title() == "Tessera: review" and page.locator("img[src=x]").count() == 0


def test_adult_pictures_are_blurred_until_a_key_shows_them(tmp_path: Path, browser: Browser) -> None:
    write_room(tmp_path, [item(FRAMES, "film-0000001", picture=write_media(tmp_path)["picture"], is_blurred=True)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        expect(page.locator(".stage img")).to_have_css("filter", "blur(28px) saturate(0.4)")
        page.keyboard.press("b")
        expect(page.locator(".stage img")).to_have_css("filter", "none")


def test_what_somebody_else_decided_is_shown_and_overruled_only_with_shift(page: Page, tmp_path: Path) -> None:
    columns = list(Decision.model_fields)
    expect(page.locator("section.one")).to_have_attribute("aria-label", FIRST)
    append_row(
        tmp_path / "config" / "decisions.tsv", {"key": FIRST, "decision": "keep", "who": "Bo", "when": "2026-01-31"}, columns
    )
    page.keyboard.press("d")
    expect(page.locator("#banner")).to_contain_text("Bo, 2026-01-31: keep")
    assert shown(page) == FIRST and decisions(tmp_path) == [(FIRST, "keep", "")]
    page.reload()
    expect(page.locator(".decided")).to_contain_text("Bo, 2026-01-31: keep")
    after(page, SECOND, "Shift+D")
    assert decisions(tmp_path) == [(FIRST, "drop", "")]


def test_a_killed_server_loses_at_most_the_key_that_is_pressed_and_the_page_says_so(tmp_path: Path, browser: Browser) -> None:
    usual_room(tmp_path)
    with served(tmp_path) as (address, process), opened(browser, address) as page:
        after(to_clips(page), SECOND, "d")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("d")
        expect(page.locator("#banner")).to_contain_text("this was not saved. Earlier decisions are saved")
        assert shown(page) == SECOND
    assert decisions(tmp_path) == [(FIRST, "drop", "")]
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.get_by_role("button", name=re.compile("^clips ")).click()
        expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
        after(page, FIRST, "ArrowLeft")
        expect(page.locator(".decided")).to_contain_text("drop")


def test_results_of_another_run_are_loaded_before_anything_is_decided(page: Page, tmp_path: Path) -> None:
    expect(page.locator("section.one")).to_have_attribute("aria-label", FIRST)
    write_room(tmp_path, [item(CLIPS, "other-0000000-1", clip=write_media(tmp_path)["clip"])])
    page.keyboard.press("d")
    expect(page.locator("section.one")).to_have_attribute("aria-label", "other-0000000-1")
    expect(page.locator("#banner")).to_contain_text("the workflow ran again")
    assert not (tmp_path / "config").exists()


def test_pictures_that_vanished_or_are_damaged_are_said_and_can_still_be_decided(tmp_path: Path, browser: Browser) -> None:
    media = write_media(tmp_path)
    damaged = tmp_path / "results" / "damaged.jpg"
    damaged.write_text("no picture")
    pictures = [media["picture"], str(damaged), media["picture"]]
    write_room(tmp_path, [item(FRAMES, f"film-{number:07}", picture=picture) for number, picture in enumerate(pictures)])
    Path(media["picture"]).unlink()
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        # The second and the third are fetched, and fail, before they are shown.
        for number, text in enumerate(["is gone: run the workflow again", "This browser cannot show it", "is gone"]):
            expect(page.locator("section.one")).to_have_attribute("aria-label", f"film-{number:07}")
            expect(page.locator(".frame")).to_contain_text(text)
            page.keyboard.press("d")
    assert len(decisions(tmp_path)) == 3


def test_two_tabs_see_the_decisions_of_each_other(tmp_path: Path, browser: Browser) -> None:
    usual_room(tmp_path)
    with served(tmp_path) as (address, _), opened(browser, address) as one, opened(browser, address) as other:
        after(to_clips(one), SECOND, "d")
        other.get_by_role("button", name=re.compile("^clips ")).click()
        after(other, FIRST, "ArrowLeft")
        expect(other.locator(".decided")).to_contain_text("drop")
        after(other, SECOND, "k")
        one.keyboard.press("k")
        expect(one.locator(".decided")).to_contain_text("keep")
    assert sorted(decisions(tmp_path)) == [(FIRST, "keep", ""), (SECOND, "keep", "")]


def test_filters_leave_only_what_they_say_and_what_the_next_run_does_is_shown(page: Page) -> None:
    page.get_by_label("last run").select_option("dropped")
    expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
    expect(page.locator("#count")).to_contain_text("1 of 1")
    page.keyboard.press("k")
    expect(page.locator(".decided")).to_contain_text("keep")
    page.keyboard.press("p")
    expect(page.locator("dialog li")).to_have_text("back in the datasets: 1 clip")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_everybody_can_read_and_reach_all_of_it(scheme: str, width: int, tmp_path: Path, browser: Browser) -> None:
    usual_room(tmp_path)
    with served(tmp_path) as (address, _), opened(browser, address, scheme, width) as page:
        to_clips(page)
        assert faults(page) == []
        for queue in page.locator("#queues button").all():
            queue.click()
            expect(queue).to_have_attribute("aria-current", "page")
            assert faults(page) == []
        page.keyboard.press("v")
        expect(page.locator(".tile")).to_have_count(2)
        assert faults(page) == []
        page.keyboard.press("?")
        assert faults(page) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
