"""The review page in a real browser: one key decides, nothing is lost, and nothing that it shows can harm it."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from review_items import item, write_default_review, write_detections, write_media, write_review

from browser import chromium, faults, opened, served, shown
from tessera.imaging.encode import write_video
from tessera.records.decision_log import append_row
from tessera.records.decisions import Decision, read_decisions
from tessera.records.tables.review import CLIPS, FACES, FRAMES, IDENTITIES, REGIONS

CLASSIFIERS = {"blur": ["sharp", "soft"], "noise": {"least": 0.0, "most": 10.0}}
FIRST, SECOND = "film-0000000-1", "film-0000100-1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    write_default_review(tmp_path)
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


def test_a_key_that_is_pressed_before_the_clip_has_loaded_steps_through_it(tmp_path: Path, browser: Browser) -> None:
    write_default_review(tmp_path)
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.route("**/outlined", lambda route: None)
        page.get_by_role("button", name=re.compile("^clips ")).click()
        expect(page.locator(".stage video")).to_have_count(1)
        page.keyboard.press(".")
        expect(page.locator("#frame")).to_be_empty()
        page.unroute("**/outlined")  # which lets those that wait go on
        expect(page.locator("#frame")).to_have_text("frame 2 of 60")


def test_the_grid_shows_apart_what_is_decided_and_what_the_last_run_did(page: Page) -> None:
    page.keyboard.press("v")
    expect(page.locator(".tile")).not_to_have_count(0)
    page.keyboard.press("k")
    expect(page.locator(".tile p.decided")).to_have_count(1)
    page.keyboard.press("Escape")
    looks = """(tiles) => tiles.map((tile) => {
        return [getComputedStyle(tile).borderColor, getComputedStyle(tile.querySelector("p")).fontWeight];
    })"""
    (decided,) = page.locator(".tile:has(p.decided)").evaluate_all(looks)
    others = page.locator(".tile:not(:has(p.decided))").evaluate_all(looks)
    assert others and not set(decided) & {look for each in others for look in each}


def test_a_crop_without_an_identity_is_named_after_the_most_similar_by_two_keys(tmp_path: Path, browser: Browser) -> None:
    picture = write_media(tmp_path)["picture"]
    crop = {"picture": picture, "beside": picture, "target": "film-0000001-person-0+0-0-9-9", "suggested": "Lea"}
    write_review(
        tmp_path, [item(IDENTITIES, "film-0000001-person-0", reason="noise", beside_text="the most similar: Lea", **crop)]
    )
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("m")
        expect(page.locator("#answer")).to_have_value("Lea")
        page.keyboard.press("Enter")
        expect(page.locator(".decided")).to_contain_text("move Lea")


def test_the_history_says_which_identity_was_renamed(tmp_path: Path, browser: Browser) -> None:
    crop = {"picture": write_media(tmp_path)["picture"], "target": "film-0000001-person-0+0-0-9-9", "label": "Lea"}
    write_review(tmp_path, [item(IDENTITIES, "film-0000001-person-0", **crop)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("r")
        page.locator("#answer").fill("Mia")
        page.keyboard.press("Enter")
        expect(page.locator(".decided")).to_contain_text("rename Mia")
        page.keyboard.press("h")
        expect(page.locator(".history li")).to_contain_text("rename Lea to Mia")


def first_clip(page: Page) -> str:
    """Return the address of the first clip without an outline."""
    version = page.evaluate("() => fetch('api/state').then((answer) => answer.json()).then((state) => state.version)")
    return f"media/{version}/0/clip"


def test_an_answer_is_about_the_item_that_was_asked_about(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="identities 0/2").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000007-person-0")
    page.keyboard.press("m")
    page.locator("#answer").fill("Lea")
    write_review(tmp_path, [item(IDENTITIES, "other-0000001-person-0", picture=write_media(tmp_path)["picture"])])
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


def pressed(page: Page, **event: Any) -> None:
    """Press a key of another keyboard."""
    page.evaluate("(event) => document.body.dispatchEvent(new KeyboardEvent('keydown', event))", {**event, "bubbles": True})


def test_a_keyboard_of_another_script_decides_with_the_keys_at_the_same_places(page: Page, tmp_path: Path) -> None:
    pressed(page, key="в", code="KeyD")
    expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
    assert decisions(tmp_path) == [(FIRST, "drop", "")]
    # A Latin letter is what it types, wherever it lies, as on Dvorak keyboards.
    pressed(page, key="u", code="KeyF")
    expect(page.locator("section.one")).to_have_attribute("aria-label", FIRST)
    assert decisions(tmp_path) == []


def test_a_digit_that_needs_shift_overrules_nobody_before_the_page_has_shown_the_conflict(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="labels 0/2").click()
    expect(page.locator("section.one")).to_have_attribute("aria-label", "set+1")
    row = {"key": "set+1", "decision": "keep", "who": "Bo", "when": "2026-01-31", "classifier": "blur"}
    append_row(tmp_path / "config" / "decisions.tsv", row, list(Decision.model_fields))
    pressed(page, key="2", code="Digit2", shiftKey=True)
    expect(page.locator("#banner")).to_contain_text("Bo, 2026-01-31: keep")
    assert decisions(tmp_path) == [("set+1", "keep", "")]
    # Without Shift, the key at that place is the same digit, and overrules nobody either.
    pressed(page, key="é", code="Digit2")
    expect(page.locator("#banner")).to_contain_text("Bo, 2026-01-31: keep")
    assert decisions(tmp_path) == [("set+1", "keep", "")]
    # Also after the page has looked at what others did.
    with page.expect_response(re.compile("api/ids")):
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        append_row(tmp_path / "config" / "decisions.tsv", {**row, "key": "set+9"}, list(Decision.model_fields))
    pressed(page, key="2", code="Digit2", shiftKey=True)
    expect(page.locator("section.one")).not_to_have_attribute("aria-label", "set+1")
    assert sorted(decisions(tmp_path)) == [("set+1", "relabel", "soft"), ("set+9", "keep", "")]


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
    write_review(tmp_path, [item(FRAMES, f"film-{number:07}", picture=media["picture"]) for number in range(12)])
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
    write_review(tmp_path, [item(CLIPS, f"film-{number:07}-1", 1 - number / 50, clip=media["clip"]) for number in range(24)])
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
        # They are selected again, so that another key decides them.
        expect(page.locator("#banner")).to_have_text("3 are taken back, and selected.")
        page.keyboard.press("k")
        expect(page.locator(".tile p.decided")).to_have_text(["✓ keep"] * 3)
        page.keyboard.press("u")
        expect(page.locator(".tile p.decided")).to_have_count(0)
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
    write_review(tmp_path, [item(FRAMES, evil, source=evil, reason=evil, picture=media["picture"], **more)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        expect(page.locator("section.one")).to_have_attribute("aria-label", evil)
        assert page.locator("dd").first.text_content() == evil
        for key in ("v", "v", "?"):
            page.keyboard.press(key)
        assert page.title() == "Tessera: review" and page.locator("img[src=x]").count() == 0


def test_adult_pictures_are_blurred_until_a_key_shows_them(tmp_path: Path, browser: Browser) -> None:
    write_review(tmp_path, [item(FRAMES, "film-0000001", picture=write_media(tmp_path)["picture"], is_blurred=True)])
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
    write_default_review(tmp_path)
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
    write_review(tmp_path, [item(CLIPS, "other-0000000-1", clip=write_media(tmp_path)["clip"])])
    page.keyboard.press("d")
    expect(page.locator("section.one")).to_have_attribute("aria-label", "other-0000000-1")
    expect(page.locator("#banner")).to_contain_text("the workflow ran again")
    assert not (tmp_path / "config").exists()


def test_a_decision_about_an_item_of_another_run_with_the_same_number_is_saved(page: Page, tmp_path: Path) -> None:
    after(page, SECOND, "d")
    key = "other-0000000-1"
    row = {"key": key, "decision": "keep", "who": "Ada", "when": "2026-01-31"}
    append_row(tmp_path / "config" / "decisions.tsv", row, list(Decision.model_fields))
    write_review(tmp_path, [item(CLIPS, key, clip=write_media(tmp_path)["clip"])])
    expect(page.locator("section.one")).to_have_attribute("aria-label", key)
    expect(page.locator(".decided")).to_contain_text("keep")
    page.keyboard.press("d")
    expect(page.locator(".decided")).to_contain_text("drop")
    assert decisions(tmp_path)[-1] == (key, "drop", "")


def test_pictures_that_vanished_or_are_damaged_are_said_and_can_still_be_decided(tmp_path: Path, browser: Browser) -> None:
    media = write_media(tmp_path)
    damaged = tmp_path / "results" / "damaged.jpg"
    damaged.write_text("no picture")
    pictures = [media["picture"], str(damaged), media["picture"]]
    write_review(tmp_path, [item(FRAMES, f"film-{number:07}", picture=picture) for number, picture in enumerate(pictures)])
    Path(media["picture"]).unlink()
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        # The second and the third are fetched, and fail, before they are shown.
        for number, text in enumerate(["is gone: run the workflow again", "This browser cannot show it", "is gone"]):
            expect(page.locator("section.one")).to_have_attribute("aria-label", f"film-{number:07}")
            expect(page.locator(".frame")).to_contain_text(text)
            page.keyboard.press("d")
        expect(page.locator("#banner")).to_contain_text("All of these are decided.")
    assert len(decisions(tmp_path)) == 3


def test_two_tabs_see_the_decisions_of_each_other(tmp_path: Path, browser: Browser) -> None:
    write_default_review(tmp_path)
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
    write_default_review(tmp_path)
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


def grid_of(folder: Path, count: int, **more: Any) -> list[str]:
    """Write review items of so many clips that share a video; return their keys."""
    media = write_media(folder)
    keys = [f"film-{number:07}-1" for number in range(count)]
    given = {"clip": media["clip"], "mask": media["mask"], "frames": 6, **more}
    write_review(folder, [item(CLIPS, key, 1 - number / count, **given) for number, key in enumerate(keys)])
    return keys


def test_what_was_decided_before_counts_again_in_one_clip_and_in_many(page: Page, tmp_path: Path) -> None:
    after(page, SECOND, "d")
    after(page, FIRST, "ArrowLeft")
    page.keyboard.press("k")
    expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
    after(page, FIRST, "u")
    assert decisions(tmp_path) == [(FIRST, "drop", "")]
    page.keyboard.press("v")
    page.keyboard.press("Control+a")
    page.keyboard.press("k")
    expect(page.locator("#banner")).to_contain_text("2 items: keep")
    page.keyboard.press("u")
    expect(page.locator("#banner")).to_contain_text("2 are taken back")
    assert decisions(tmp_path) == [(FIRST, "drop", "")]


def test_what_was_decided_is_taken_back_after_a_reload_in_another_queue_and_from_the_history(
    page: Page, tmp_path: Path
) -> None:
    after(page, SECOND, "d")
    page.reload()
    expect(page.locator("section.one")).to_have_attribute("aria-label", SECOND)
    page.keyboard.press("Shift+Q")
    expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000007+32-8-56-24")
    page.keyboard.press("k")
    expect(page.locator(".decided")).to_contain_text("keep")
    page.keyboard.press("u")
    expect(page.locator(".decided")).to_have_count(0)
    after(page, FIRST, "u")
    assert decisions(tmp_path) == []
    for key in ("d", "k"):
        page.keyboard.press(key)
    expect(page.locator("#banner")).to_contain_text("All of these are decided")
    page.keyboard.press("h")
    expect(page.locator(".history li")).to_have_count(2)
    page.locator(".history button").last.click()
    expect(page.locator(".history li")).to_have_count(1)
    assert decisions(tmp_path) == [(SECOND, "keep", "")]


def test_keys_that_are_pressed_while_one_is_saved_wait_and_none_is_lost(tmp_path: Path, browser: Browser) -> None:
    keys = grid_of(tmp_path, 40)
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        for number in range(30):
            page.keyboard.press("kd"[number % 2])
        expect(page.locator("#queues button")).to_have_text(["clips 30/40"])
    assert decisions(tmp_path) == [(key, ["keep", "drop"][number % 2], "") for number, key in enumerate(keys[:30])]


def test_the_grid_reaches_all_items_and_says_in_view_what_it_did(tmp_path: Path, browser: Browser) -> None:
    keys = grid_of(tmp_path, 1_000)
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("v")
        page.keyboard.press("End")
        expect(page.locator(f".tile[title='{keys[-1]}']")).to_be_focused()
        assert page.locator(".tile").count() < 100, "only what is in view"
        page.keyboard.press("Control+a")
        expect(page.locator("#count")).to_have_text("1,000 of 1,000, 1,000 selected")
        page.keyboard.press("d")
        expect(page.locator("#banner")).to_be_in_viewport(ratio=1)
        expect(page.locator("#queues button")).to_have_text(["clips 1,000/1,000"])
        page.keyboard.press("End")
        (tmp_path / "config" / "decisions.tsv").write_text("nonsense")
        page.keyboard.press("k")
        expect(page.locator("#banner")).to_contain_text("line 1: this is no header")
        expect(page.locator("#banner")).to_be_in_viewport(ratio=1)


def test_of_many_that_somebody_else_decided_some_the_page_says_how_many_are_saved(tmp_path: Path, browser: Browser) -> None:
    keys = grid_of(tmp_path, 12)
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("v")
        expect(page.locator(".tile")).to_have_count(12)
        row = {"key": keys[3], "decision": "keep", "who": "Bo", "when": "2026-01-31"}
        append_row(tmp_path / "config" / "decisions.tsv", row, list(Decision.model_fields))
        page.keyboard.press("Control+a")
        page.keyboard.press("d")
        expect(page.locator("#banner")).to_contain_text("11 of 12 are saved. These are not, and stay selected:")
        expect(page.locator("#banner")).to_contain_text(f"{keys[3]}: Somebody else decided otherwise.: Bo, 2026-01-31: keep")
        expect(page.locator(".tile[aria-selected=true]")).to_have_attribute("title", keys[3])


@pytest.mark.parametrize("sides", [(30, 120), (120, 30), (64, 48)])
def test_pictures_of_any_shape_are_whole_in_the_grid_with_their_regions_in_place(
    sides: tuple[int, int], tmp_path: Path, browser: Browser
) -> None:
    width, height = sides
    media = write_media(tmp_path, size=sides)
    box = {"boxes": [[0.2, 0.7, 0.8, 0.95]], "box_texts": ["nsfw 0.50"], "box_counts": [True]}
    write_review(tmp_path, [item(REGIONS, "film-0000001+1-2-3-4", picture=media["picture"], **box)])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("v")
        picture, region = page.locator(".tile img"), page.locator(".tile path.region")
        region.wait_for(state="attached")
        assert picture.evaluate("each => getComputedStyle(each).objectFit") == "contain"
        frame, shown, drawn = (
            each.evaluate(
                "each => { const { x, y, width, height } = each.getBoundingClientRect(); return [x, y, width, height]; }"
            )
            for each in (page.locator(".tile .frame"), picture, region)
        )
        assert shown == frame
        scale = min(frame[2] / width, frame[3] / height)
        left, top = frame[0] + (frame[2] - scale * width) / 2, frame[1] + (frame[3] - scale * height) / 2
        expected = [left + 0.2 * scale * width, top + 0.7 * scale * height, 0.6 * scale * width, 0.25 * scale * height]
        assert all(abs(one - other) <= 2 for one, other in zip(drawn, expected, strict=True)), (drawn, expected)


def test_a_clip_is_stepped_through_by_each_of_its_own_frames(tmp_path: Path, browser: Browser) -> None:
    results = tmp_path / "results"
    results.mkdir()
    count, levels = 14, range(16, 240, 16)
    # A rate at which a twenty-fifth of a second would skip or repeat frames.
    write_video(results / "a.mp4", [np.full((48, 64, 3), level, np.uint8) for level in levels], 59.94)
    write_review(tmp_path, [item(CLIPS, FIRST, clip=str(results / "a.mp4"), frames=count)])
    level = """each => new Promise((done) => {
      const look = () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
        canvas.getContext("2d").drawImage(each, 0, 0, 1, 1);
        done(canvas.getContext("2d").getImageData(0, 0, 1, 1).data[0]);
      };
      if (each.seeking) each.addEventListener("seeked", look, { once: true }); else look();
    })"""
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        video = page.locator(".stage video")
        page.wait_for_function("() => document.querySelector('.stage video').readyState >= 2")
        for _ in range(count):
            page.keyboard.press(",")
        expect(page.locator("#frame")).to_have_text(f"frame 1 of {count}")
        seen = [video.evaluate(level)]
        for number in range(2, count + 1):
            page.keyboard.press(".")
            expect(page.locator("#frame")).to_have_text(f"frame {number} of {count}")
            seen.append(video.evaluate(level))
        assert all(abs(one - other) <= 5 for one, other in zip(seen, levels, strict=True)), seen


def test_keys_are_changed_in_the_page_and_stay_changed(page: Page, tmp_path: Path) -> None:
    page.keyboard.press("?")
    page.get_by_role("button", name="change the key of: drop", exact=True).click()
    page.keyboard.press("x")
    expect(page.locator("dialog dt").filter(has_text="x")).to_have_count(1)
    page.keyboard.press("Escape")
    page.reload()
    expect(page.get_by_role("button", name="drop x")).to_be_visible()
    after(page, SECOND, "x")
    assert decisions(tmp_path) == [(FIRST, "drop", "")]


def test_two_people_use_one_server_each_by_a_name(tmp_path: Path, browser: Browser) -> None:
    write_default_review(tmp_path)
    with served(tmp_path) as (address, _), opened(browser, address) as one, opened(browser, address) as other:
        other.locator("#who").click()
        other.locator("#answer").fill("Bo Ó")
        other.keyboard.press("Enter")
        expect(other.locator("#who")).to_have_text("as Bo Ó")
        after(to_clips(one), SECOND, "d")
        other.get_by_role("button", name=re.compile("^clips ")).click()
        after(other, FIRST, "ArrowLeft")
        expect(other.locator(".decided")).to_contain_text("Ada")
        after(other, SECOND, "ArrowRight")
        other.keyboard.press("d")
        expect(one.locator("#queues")).to_contain_text("clips 2/2", timeout=10_000)
    assert "\tBo Ó\t" in (tmp_path / "config" / "decisions.tsv").read_text()


def test_fingers_decide_on_a_phone_and_in_the_grid(tmp_path: Path, browser: Browser) -> None:
    keys = grid_of(tmp_path, 30)
    with served(tmp_path) as (address, _), opened(browser, address, width=400) as page:
        drop = page.locator("#bar").get_by_role("button", name="drop d")
        expect(drop).to_be_in_viewport(ratio=1)
        drop.click()
        expect(page.locator("section.one")).to_have_attribute("aria-label", keys[1])
        page.locator("#view").click()
        for key in keys[2:4]:
            page.locator(f".tile[title='{key}']").click()
        expect(page.locator("#bar").get_by_role("button", name="keep k")).to_be_in_viewport(ratio=1)
        page.locator("#bar").get_by_role("button", name="keep k").click()
        expect(page.locator("#queues")).to_contain_text("clips 3/30")
        page.locator("#bar").get_by_role("button", name="take back").click()
        expect(page.locator("#queues")).to_contain_text("clips 1/30")
        page.locator("#bar").get_by_role("button", name="open").click()
        expect(page.locator("section.one")).to_be_visible()
    assert decisions(tmp_path) == [(keys[0], "drop", "")]


def test_the_pace_and_the_time_that_is_left_are_shown(tmp_path: Path, browser: Browser) -> None:
    grid_of(tmp_path, 61)
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        here = "JSON.parse(sessionStorage.getItem('here'))"
        times = "[40, 20, 0].map((ago) => [Date.now() / 1000 - ago, 10])"
        page.evaluate(f"() => sessionStorage.setItem('here', JSON.stringify({{ ...{here}, times: {times} }}))")
        page.reload()
        page.locator("section.one").wait_for()
        page.keyboard.press("k")
        expect(page.locator("#queues button")).to_have_text(["clips 1/61"])
        expect(page.locator("#pace")).to_have_text(re.compile("^(29|30|31|32) a minute, 2 min left$"))


def test_keys_of_items_are_shown_as_people_read_them(tmp_path: Path, browser: Browser) -> None:
    media = write_media(tmp_path)
    write_review(tmp_path, [item(FRAMES, "coffee%20table-0000007", source="coffee table", picture=media["picture"])])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        expect(page.locator("dd").first).to_have_text("coffee table-0000007")
        page.keyboard.press("v")
        expect(page.locator(".tile")).to_have_attribute("title", "coffee table-0000007")


def test_a_table_that_another_program_removes_is_said_without_a_key(page: Page, tmp_path: Path) -> None:
    after(page, SECOND, "d")
    (tmp_path / "config" / "decisions.tsv").unlink()
    expect(page.locator("#banner")).to_contain_text("was removed by another program", timeout=10_000)
    page.keyboard.press("k")
    expect(page.locator("#banner")).to_contain_text(re.compile("Not saved: .*Restore the file"))  # until then, keys wait
    after(page, FIRST, "Shift+K")
    assert decisions(tmp_path) == [(SECOND, "keep", "")]


def test_frames_show_the_outlines_that_are_saved_and_their_label(tmp_path: Path, browser: Browser) -> None:
    picture = write_media(tmp_path)["picture"]
    seen = write_detections(tmp_path, "film-0000007")
    labelled = {"labelled": seen["outlines"], "state": "kept", "boxes": [], "box_texts": [], "box_counts": []}
    rows = [item(FRAMES, "film-0000007", 0.9, picture=picture, **seen)]
    rows += [item(FRAMES, "film-0000008", 0.5, picture=picture, **{**labelled, "outlines": ""})]
    write_review(tmp_path, rows)
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        path = page.locator("path.region").first
        outline = [float(value) for value in re.findall(r"[\d.]+", path.get_attribute("d") or "")]
        page.keyboard.press("a")
        expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000008")
        (label,) = (tmp_path / "labels").rglob("*.json")
        saved = [value for point in json.loads(label.read_text())["shapes"][0]["points"] for value in point]
        assert np.allclose(outline, saved, atol=0.01)
        expect(page.locator(".labelled")).to_have_text("label: shows no region")


def test_thousands_of_faces_are_shown_in_a_chosen_sort_accepted_and_rejected(tmp_path: Path, browser: Browser) -> None:
    picture = write_media(tmp_path)["picture"]
    count = 5000
    rows = []
    for number in range(count):
        key, rank = f"film-{number:07}-face-0", number * 7 % count  # in another order
        sorts = {"sorts": ["frame", "blur"], "ranks": [number, rank], "sort_texts": [f"rank {number}", f"0.5; rank {rank}"]}
        verdict = {"state": "dropped", "reason": "blurred", "detail": "0.1 < 0.2"} if number % 2 else {"state": "kept"}
        rows.append(item(FACES, key, target=f"{key}+1-2-3-4", classifier="ada", picture=picture, **sorts, **verdict))
    write_review(tmp_path, rows)
    asked: list[str] = []
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        expect(page.locator("section.one")).to_have_attribute("aria-label", "film-0000000-face-0")
        page.get_by_label("sort").select_option("blur")
        after_it = next(number for number in range(count) if number * 7 % count == 1)
        page.locator("main").focus()
        after(page, f"film-{after_it:07}-face-0", "d")
        expect(page.locator(".side")).to_contain_text("0.5; rank 1")
        expect(page.locator(".side")).to_contain_text("face setada")
        if after_it % 2:
            expect(page.locator(".side")).to_contain_text("blurred")
        page.keyboard.press("k")
        page.keyboard.press("d")
        expect(page.locator("#queues button")).to_have_text("faces 3/5,000")
        page.keyboard.press("u")
        expect(page.locator("#queues button")).to_have_text("faces 2/5,000")
        assert faults(page) == []
        page.keyboard.press("v")
        page.keyboard.press("End")
        expect(page.locator(".tile").last).to_contain_text("rank 4999")
        assert page.locator(".tile").count() < 100
        assert faults(page) == []
    assert len([url for url in asked if "/media/" in url]) < 200, "only what is in view, or soon will be, is loaded"
    target = {number: f"film-{number:07}-face-0+1-2-3-4" for number in (0, after_it)}
    found = read_decisions(tmp_path / "config" / "decisions.tsv", {"ada": ()})
    assert [(each.key, each.decision, each.classifier) for each in found] == [
        (target[0], "drop", "ada"),
        (target[after_it], "keep", "ada"),
    ]


def test_a_face_of_two_sets_is_shown_again_in_the_set_that_its_decision_is_taken_back_of(
    tmp_path: Path, browser: Browser
) -> None:
    shared = {"target": "film-0000001-face-0+1-2-3-4", "picture": write_media(tmp_path)["picture"]}
    write_review(tmp_path, [item(FACES, "film-0000001-face-0", classifier=name, **shared) for name in ("ada", "bob")])
    with served(tmp_path) as (address, _), opened(browser, address) as page:
        page.keyboard.press("ArrowRight")
        expect(page.locator(".side")).to_contain_text("face setbob")
        page.keyboard.press("d")
        expect(page.locator(".side")).to_contain_text("face setada")
        page.keyboard.press("u")
        expect(page.locator(".side")).to_contain_text("face setbob")
        expect(page.locator(".decided")).to_have_count(0)
