"""`umekomi improve` from the outside: documents to a served model, worse models refused, and every interruption."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from kit.chat_server import Raw, chat_server, first_then
from kit.jargon import WORDS, build_writer
from kit.server import PATIENCE_S, serve_process
from umekomi.cli.exit_codes import CANNOT_REPLACE
from umekomi.embedding.embedder import open_embedder

from .conftest import QUICKLY, Workshop, run_improve

STEPS = ("read", "synthesize", "train", "report")


@pytest.fixture(scope="module")
def improved(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished improvement, and what it said."""
    output = tmp_path_factory.mktemp("improved") / "out"
    done, _ = workshop.improve(output, *QUICKLY)
    assert done.returncode == 0, done.stderr
    return output, done.stdout + done.stderr


def training_of(output: Path) -> Path:
    (folder,) = output.glob("training-*")
    return folder


def verdict_of(training: Path) -> str:
    return str(json.loads((training / "training_report.json").read_text(encoding="utf-8"))["verdict"])


def test_documents_become_a_better_model_and_one_page_tells_how(
    workshop: Workshop, improved: tuple[Path, str]
) -> None:
    output, said = improved
    training = training_of(output)
    assert said.startswith("IMPROVED: nDCG@10 rose from")
    assert f"umekomi promote {training} --alias NAME" in said
    assert [said.index(f"step {number} of 4, {step}") for number, step in enumerate(STEPS, start=1)]
    state = json.loads((output / "improve.json").read_text(encoding="utf-8"))
    assert tuple(state["steps"]) == STEPS
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    told = ("IMPROVED", f"umekomi promote {training}", "Documents read", "Pairs of a query", "loss", "nDCG@10")
    places = [page.index(each) for each in told[:4]]
    assert places == sorted(places)
    assert all(each in page for each in told)
    assert str(len(workshop.notes)) in page
    assert "broken.pdf" in page
    asked = re.findall(r'<span class="query">([^<]+)</span>', page)
    assert any(word in query for query in asked for word in WORDS.values())


@pytest.mark.slow
def test_the_same_command_again_does_nothing_and_a_change_only_what_rests_on_it(
    workshop: Workshop, improved: tuple[Path, str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(improved[0], output)
    before = {
        path: path.stat().st_mtime_ns for path in output.rglob("*") if path.suffix in (".html", ".json", ".onnx")
    }
    done, asked = workshop.improve(output, *QUICKLY)
    assert (done.returncode, asked) == (0, 0), done.stderr
    assert done.stderr.count("finished before") == 4
    assert before == {path: path.stat().st_mtime_ns for path in before}

    gentle = ("--learning-rate", "0", "--batch-size", "16", "--max-steps", "2")
    done, asked = workshop.improve(output, *gentle)
    assert (done.returncode, asked) == (0, 0), done.stderr
    assert done.stderr.count("finished before") == 2
    assert done.stdout.startswith("TIED: ")  # nothing was learned at a rate of 0
    assert "before and after" in done.stdout
    assert len(list(output.glob("training-*"))) == 2  # the one before may be served

    documents = tmp_path / "notes"
    shutil.copytree(workshop.documents, documents)
    changed = workshop.notes[0]
    text = changed.text.replace(".", ", it is said.", 1)
    (documents / f"{changed.machine}-{changed.part}.txt").write_text(text, encoding="utf-8")
    notes = [type(changed)(changed.machine, changed.part, text, changed.query), *workshop.notes[1:]]
    moved = Workshop(documents, notes, workshop.model)
    done, asked = moved.improve(output, *gentle, "--dry-run")
    assert (done.returncode, asked) == (0, 0), done.stderr
    assert re.search(r"^train: steps: \d+", done.stdout, flags=re.MULTILINE)
    done, asked = moved.improve(output, *gentle)
    assert (done.returncode, asked) == (0, 2), done.stderr  # the probe, and the one changed text
    assert done.stderr.count("finished before") == 1  # the documents were read for the forecast


@pytest.mark.slow
def test_the_promoted_model_answers_and_a_worse_one_changes_nothing(
    workshop: Workshop, improved: tuple[Path, str], tmp_path: Path
) -> None:
    good = training_of(improved[0])
    with open_embedder(str(good / "model"), threads=1) as embedder:
        expected = embedder.embed([workshop.notes[0].query], role="raw")
    config = tmp_path / "umekomi.yaml"
    config.write_text(f"models:\n  - name: first\n    source: {workshop.model}\n    aliases: [search]\n")
    with serve_process(tmp_path, "--config", str(config)) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")

        def ask() -> tuple[str, list[float]]:
            answer = client.embeddings.with_raw_response.create(model="search", input=workshop.notes[0].query)
            vector = answer.parse().data[0].embedding
            return str(answer.headers["x-umekomi-fingerprint"]), vector

        before = ask()
        assert before[0] != expected.fingerprint
        done = promote(good, config, server.url)
        assert done.returncode == 0, done.stderr
        after = ask()
        assert after[0] == expected.fingerprint
        assert after[1] == pytest.approx(expected.vectors[0].tolist(), abs=1e-5)

        lines = (improved[0] / "pairs" / "test.jsonl").read_text(encoding="utf-8").splitlines()
        tested = {json.loads(line)["positive"] for line in lines}
        output = tmp_path / "worse"
        lying, _ = workshop.improve(
            output, *QUICKLY, base=good / "model", wrong=lambda note: note.text not in tested
        )
        assert lying.returncode == CANNOT_REPLACE == 4, lying.stderr
        assert lying.stdout.startswith("REGRESSED: nDCG@10 fell from")
        assert "Keep serving the base" in lying.stderr
        assert "REGRESSED" in (output / "report.html").read_text(encoding="utf-8")
        done = promote(training_of(output), config, server.url)
        assert done.returncode == 2
        assert "REGRESSED" in done.stderr
        assert ask() == after


def promote(training: Path, config: Path, url: str) -> subprocess.CompletedProcess[str]:
    command = ["promote", training, "--alias", "search", "--config", config, "--base-url", url]
    return subprocess.run(
        [sys.executable, "-m", "umekomi", *map(str, command)], capture_output=True, encoding="utf-8", timeout=240
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_twice_goes_on_with_the_same_command(workshop: Workshop, tmp_path: Path) -> None:
    output = tmp_path / "out"
    write = build_writer(workshop.notes)
    answer = first_then(41, write, lambda body: Raw(hang=True))
    with chat_server(lambda body: answer(body)) as llm:
        command = [str(workshop.documents), "-o", str(output), *map(str, workshop.options(llm.url)), *QUICKLY]
        kill_when(("-m", "umekomi"), command, lambda: len(llm.asked) > 41)
        asked, answer = len(llm.asked), write
        said = kill_when(("-c", STOPPING), command, lambda: steps_of(output) > 25)
        kept = re.search(r"(\d+) kept from before", said)
        assert kept
        assert int(kept[1]) >= 30
        assert len(llm.asked) <= asked + 1 + len(workshop.notes) - int(kept[1])
        assert "step 1 of 4, read: finished before" in said
        asked = len(llm.asked)
        assert not (output / "report.html").exists()
        done = run_improve(*command)
    assert done.returncode == 0, done.stderr
    assert len(llm.asked) == asked
    assert done.stderr.count("finished before") == 2
    assert "going on after step" in done.stderr
    assert verdict_of(training_of(output)) == "IMPROVED"


STOPPING = """
import time
from umekomi.cli.main import main
from umekomi.train.fitting.steering import Steering
plain = Steering.on_step_end
def stop_there(self, args, state, *rest, **more):
    plain(self, args, state, *rest, **more)
    while state.global_step == 30: time.sleep(1)
Steering.on_step_end = stop_there
main()
"""
"""The command, whose training comes no further than its 30th step: who is to kill it may take his time."""


def kill_when(how: tuple[str, str], command: list[str], reached: Callable[[], bool]) -> str:
    """Start the command, end it without warning, and give what it said until then."""
    full = [sys.executable, *how, "improve", *command, "--threads", "1"]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(full, stderr=errors, stdout=errors) as process:
            deadline = time.monotonic() + PATIENCE_S
            while not reached() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            ended = process.poll()
            process.send_signal(signal.SIGKILL)
        errors.seek(0)
        said = errors.read().decode()
    assert ended is None, said
    return said


def steps_of(output: Path) -> int:
    """How many steps the curve tells of."""
    for path in output.glob("training-*/curve.jsonl"):
        return len(path.read_bytes().splitlines())
    return 0


def test_too_little_is_said_before_anything_is_asked(workshop: Workshop, tmp_path: Path) -> None:
    documents = tmp_path / "two"
    documents.mkdir()
    for note in workshop.notes[:2]:
        (documents / f"{note.part}.txt").write_text(note.text, encoding="utf-8")
    done, asked = workshop.improve(tmp_path / "out", documents=documents)
    assert (done.returncode, asked) == (2, 0)
    assert re.search(r"2 documents leave dev empty.*give more documents", done.stderr)


def test_a_useless_llm_is_said_before_training(workshop: Workshop, tmp_path: Path) -> None:
    with chat_server(lambda body: '{"query": "nothing to do with it"}') as llm:
        done = run_improve(workshop.documents, "-o", tmp_path / "out", *workshop.options(llm.url))
    assert done.returncode == 2
    assert re.search(r"pairs are left for train.*left out \(.*by repeated.*rejected\.jsonl.*--per-doc", done.stderr)
    assert not list((tmp_path / "out").glob("training-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base", "smollm2-135m-instruct"], "GGUF"),
        (["--general", "no-such-set"], "no-such-set"),
        (["--styles", "poem"], "poem"),
    ],
)
def test_what_cannot_end_well_is_refused_at_once(
    workshop: Workshop, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run_improve(workshop.documents, "-o", tmp_path / "out", "--llm", "http://127.0.0.1:9/v1#m", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out" / "pairs" / "corpus.jsonl").exists()


def test_a_folder_of_something_else_and_a_second_run_are_refused(workshop: Workshop, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "improve.json").write_text('{"schema": "somebody-else"}')
    done, asked = workshop.improve(output)
    assert (done.returncode, asked) == (2, 0)
    assert "somebody-else" in done.stderr
    done, _ = workshop.improve(workshop.documents / "inside")
    assert done.returncode == 2
    assert "lies in" in done.stderr
