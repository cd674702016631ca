"""Why this person, why then, and what was not possible: sentences in every language, from the plan itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tickets.dispatch.board import Board
from tickets.dispatch.model import Engineer, Job, meets
from tickets.model import Text
from tickets.routing import skill_name

MOST_OTHERS = 4


def why(board: Board, job: Job) -> tuple[Text, ...]:
    """Why the job's people, why its time, and why nobody else; () for a job that is not in."""
    if job.job_id not in board.starts:
        return ()
    chosen = [board.tours[index].engineer for index in board.tours_of(job.job_id)]
    reasons = [_person(board, job, engineer) for engineer in chosen]
    reasons.append(_time(board, job))
    without = board.copy()
    without.pinned -= {job.job_id}
    without.take(job.job_id)
    ours = {engineer.engineer_id for engineer in chosen}
    others = [one for one in board.problem.engineers if one.engineer_id not in ours]
    reasons += _others(without, job, others, board.end(job.job_id))
    return tuple(reasons)


def why_left(board: Board, job: Job) -> Text:
    """Why nobody could be found for a job that is not in."""
    able = [one for one in board.problem.engineers if meets(one, job)]
    waits = [other for other in job.after if other in board.jobs and other not in board.starts]
    if waits:
        name = board.jobs[waits[0]].name
        return {"en": f"{name} has to be done first and is not planned.", "zh": f"须先完成 {name}，而它未排上。"}
    if len(able) < job.crew:
        wanted = _list([_need(need.skill, need.level) for need in job.needs], job.certificates)
        return {
            "en": f"Needs {job.crew} with {wanted['en']}; {len(able)} on the site.",
            "zh": f"需要 {job.crew} 名具备{wanted['zh']}的人员，现有 {len(able)} 名。",
        }
    if job.ready_s + job.duration_s > board.problem.horizon_s:
        return {"en": "Its parts come after the planned period.", "zh": "备件在计划期之后才到。"}
    if job.windows and all(window.ends_s - window.begins_s < job.duration_s for window in job.windows):
        return {"en": "No production window is long enough.", "zh": "没有足够长的生产窗口。"}
    return {
        "en": "Nobody who can do it is free long enough when it may be done.",
        "zh": "在允许的时间内，没有合适的人员有足够的空闲。",
    }


def _person(board: Board, job: Job, engineer: Engineer) -> Text:
    wanted = _list([_need(need.skill, engineer.skills.get(need.skill, 0)) for need in job.needs], job.certificates)
    if job.frozen:
        return {"en": f"{engineer.name}: fixed by hand or under way.", "zh": f"{engineer.name}：已固定或正在进行。"}
    minutes = way_to(board, job, engineer) // 60
    return {
        "en": f"{engineer.name}: {wanted['en']}; {minutes} min away.",
        "zh": f"{engineer.name}：{wanted['zh']}；路程 {minutes} 分钟。",
    }


def _time(board: Board, job: Job) -> Text:
    start, end = board.starts[job.job_id], board.end(job.job_id)
    if job.frozen:
        return {"en": "Its time is fixed.", "zh": "时间已固定。"}
    late = job.due_s is not None and end > job.due_s
    tail = {"en": " Later than due: nothing earlier was free.", "zh": " 晚于期限：此前无空闲。"} if late else _NOTHING
    before = [board.jobs[other].name for other in job.after if other in board.starts and board.end(other) == start]
    if before:
        return _with(
            {"en": f"Right after {before[0]}, which had to come first.", "zh": f"紧接必须先完成的 {before[0]}。"}, tail
        )
    if start == job.ready_s and start > 0:
        return _with({"en": "As soon as its parts are there.", "zh": "备件一到即开始。"}, tail)
    if any(window.begins_s == start for window in job.windows):
        return _with({"en": "When its production window opens.", "zh": "生产窗口一开即开始。"}, tail)
    if job.crew > 1:
        return _with(
            {"en": f"When {job.crew} people can be there together.", "zh": f"{job.crew} 人可同时到场的时间。"}, tail
        )
    return _with({"en": "As early as the way there allows.", "zh": "按行程最早可到的时间。"}, tail)


_NOTHING: Text = {"en": "", "zh": ""}


def _others(board: Board, job: Job, people: Iterable[Engineer], end: int) -> list[Text]:
    """Why not somebody else: the nearest who could not or would have cost more, and how many lack what it needs."""
    lacking: list[Engineer] = []
    able: list[Engineer] = []
    for engineer in people:
        (able if meets(engineer, job) else lacking).append(engineer)
    said = [_instead(board, job, engineer, end) for engineer in able[:MOST_OTHERS]]
    if lacking:
        said.append(
            {
                "en": f"{len(lacking)} others lack a skill or certificate it needs.",
                "zh": f"另有 {len(lacking)} 人缺少所需技能或证书。",
            }
        )
    return said


def _instead(board: Board, job: Job, engineer: Engineer, end: int) -> Text:
    if job.crew > 1 or job.frozen:
        return {"en": f"{engineer.name} could also do it.", "zh": f"{engineer.name} 也能胜任。"}
    move = board.best(job, [i for i, tour in enumerate(board.tours) if tour.engineer is engineer])
    if move is None:
        return {"en": f"{engineer.name} has no time for it.", "zh": f"{engineer.name} 没有时间。"}
    minutes = sum(gap.detour_s for gap in move.gaps) // 60
    later = (move.start_s + job.duration_s - end) // 60
    if later > 0:
        return {
            "en": f"{engineer.name} would end {later} min later.",
            "zh": f"{engineer.name} 会晚 {later} 分钟完成。",
        }
    if minutes <= 0:
        return {"en": f"{engineer.name} could also do it.", "zh": f"{engineer.name} 也能胜任。"}
    return {
        "en": f"{engineer.name} would drive {minutes} min more.",
        "zh": f"{engineer.name} 需多行驶 {minutes} 分钟。",
    }


def way_to(board: Board, job: Job, engineer: Engineer) -> int:
    """Seconds from the stop before, or from home."""
    for tour in board.tours:
        if tour.engineer is engineer and job.job_id in tour.stops:
            at = tour.stops.index(job.job_id)
            here = engineer.home if at == 0 else board.jobs[tour.stops[at - 1]].place
            return board.way(here, job.place)
    return 0


def _need(skill: str, level: int) -> Text:
    name = skill_name(skill)
    return {"en": f"{name['en']} {level}", "zh": f"{name['zh']} {level} 级"}


def _list(needs: list[Text], certificates: tuple[str, ...]) -> Text:
    words = [*needs, *({"en": code, "zh": code} for code in certificates)]
    if not words:
        return {"en": "no special skill", "zh": "无特殊技能要求"}
    return {"en": ", ".join(word["en"] for word in words), "zh": "、".join(word["zh"] for word in words)}


def _with(text: Text, tail: Text) -> Text:
    return {lang: text[lang] + tail[lang] for lang in ("en", "zh")}
