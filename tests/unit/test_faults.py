# SPDX-License-Identifier: Apache-2.0

"""The faults must be able to fail: each invariant notices its breach."""

import pytest

from faults import __main__ as command
from faults import catalogue
from faults import inventory
from faults import phases
from faults import render
from faults import verdict
from sandbox import releases

TIMEOUT = 100
LOG = """\
2026-01-01T00:00:00.000Z info drain 11111111: told, 99 s left
2026-01-01T00:00:00.000Z info drain 11111111: begun
2026-01-01T00:00:00.000Z info handler 50-hang: started
2026-01-01T00:00:00.000Z info handler 50-hang: succeeded
2026-01-01T00:00:00.000Z info handler wait_ports: started
2026-01-01T00:00:00.000Z info server 5f, from somewhere
2026-01-01T00:00:00.000Z info drain 11111111: begun
2026-01-01T00:00:00.000Z info handler wait_ports: started
2026-01-01T00:00:00.000Z info handler wait_ports: succeeded
"""


def session(state=verdict.FINISHED, opened=5, ended=30, server='a'):
    return verdict.Session(server, state, opened, ended, 'no answer')


def drain(gone=40, asked=8, ended=True, log=LOG, server='a'):
    return verdict.Drain('handler', server, asked, gone, ended, log)


def record(sessions=None, drains=None, **values):
    """A drain with one session, hit by a fault at 10 s."""
    return verdict.Record(
        TIMEOUT, begun=10, over=20,
        sessions=[session()] if sessions is None else sessions,
        drains=[drain()] if drains is None else drains, **values)


def broken(*args, **values):
    return verdict.broken(record(*args, **values))


def test_good_run_breaks_nothing():
    """Every run would be red, and nobody would look any more."""
    assert [] == broken()
    assert {'sessions': 1, 'finished': 1, 'lost_by_the_fault': 0, 'cut': 0,
            'drains': 1, 'deleted': 1, 'late': 0, 'kept': 0,
            'deletes_repeated': 0} == verdict.counts(record())


@pytest.mark.parametrize('state', ['cut', 'open', 'new'])
def test_cut_session_is_noticed(state):
    """The one thing that all of this is for."""
    ended = 30 if state == 'cut' else None
    run = record([session(state, ended=ended)])

    assert any('a session was cut' in line for line in verdict.broken(run))
    assert 1 == verdict.counts(run)['cut']


def test_cut_session_of_a_bystander_is_noticed():
    """A server that was not to go was harmed."""
    [problem] = broken([session(), session('cut', server='b')])

    assert problem.startswith('b: a session was cut 20.0 s after')


def test_deletion_with_an_open_session_is_noticed():
    """A server went in the middle of its work."""
    [problem] = broken(drains=[drain(gone=25)])

    assert 'deleted with 1 sessions open, 83 s before' in problem


def test_deletion_at_the_timeout_is_allowed():
    """The timeout is a promise, too."""
    run = record([session('cut', ended=101)], [drain(gone=99)])

    assert [] == verdict.broken(run)
    assert 1 == verdict.counts(run)['late']


def test_cut_long_before_the_timeout_is_not_excused_by_it():
    """A server that hangs would hide behind its timeout."""
    assert broken([session('cut', ended=50)], [drain(gone=99)])


def test_reboot_excuses_the_sessions_that_it_met_only():
    """Reboots would excuse all that goes wrong before and after them."""
    met = session('cut', opened=5, ended=14)
    before = session('cut', opened=5, ended=11)
    after = session('cut', opened=15, ended=18)

    run = record([met], lost={'a': [12]})
    assert [] == verdict.broken(run)
    assert 1 == verdict.counts(run)['lost_by_the_fault']
    assert broken([before, session()], lost={'a': [12]})
    assert broken([after, session()], lost={'a': [12]})
    assert broken([met], lost={'b': [12]})


def test_endless_drain_is_noticed():
    """A server, or a stack, would stay for ever."""
    assert ['a (handler): its drain did not end'] == broken(
        drains=[drain(ended=False, gone=None)])


def test_server_that_outlives_its_timeout_is_noticed():
    """A group that forgets a drain would still be green in the end."""
    [problem] = broken(drains=[drain(gone=169)], overtime=60)

    assert 'a (handler): gone 61 s after its timeout' == problem
    assert [] == broken(drains=[drain(gone=167)], overtime=60)
    assert [] == broken(drains=[drain(gone=169)])


def test_server_that_outlives_its_timeout_in_a_long_fault_is_excused():
    """Nobody can delete a server while the fault lasts."""
    run = record(drains=[drain(gone=169)], overtime=60)
    run.over = 120

    assert [] == verdict.broken(run)


def test_server_that_stays_is_no_breach():
    """Senlin may give a scale-in up; the server still serves."""
    assert [] == broken(drains=[drain(gone=None)])


def test_finished_handler_that_runs_again_is_noticed():
    """An application would be drained twice."""
    again = LOG + (
        '2026-01-01T00:00:00.000Z info handler 50-hang: started\n')

    [problem] = broken(drains=[drain(log=again)])

    assert 'handler 50-hang was run again in drain 11111111' in problem


def test_interrupted_handler_and_another_drain_are_no_repetition():
    """A restarted agent would be blamed for doing its work."""
    assert [] == verdict.repeated(LOG)
    assert [] == verdict.repeated(LOG + LOG.replace('1' * 8, '2' * 8))


def test_useless_cluster_and_leftovers_are_noticed():
    """The trouble would begin after the drain."""
    assert ['what was in phase told is of no use: why'] == broken(
        unusable={'told': 'why'})
    assert ['left behind: queues q1, q2'] == broken(
        left={'queues': {'q2', 'q1'}, 'policies': set()})


@pytest.mark.parametrize('sessions', [
    [], [session(ended=9)], [session(opened=11)]])
def test_fault_that_met_no_session_proves_nothing(sessions):
    """The faults would pass on a cluster that is always idle."""
    assert ['no session was open when the fault began, so it proves nothing'
            ] == broken(sessions)


def test_leftovers_are_what_was_added():
    """Somebody else's queue would be ours, or ours somebody else's."""
    before = {'queues': {'theirs'}, 'servers': {'s1'}}
    after = {'queues': {'theirs', 'ours'}, 'servers': {'s2', 's3'}}

    assert {'queues': {'ours'}, 'servers': {'s3'}} == inventory.added(
        before, after, mine={'s2'})


def test_sequences_are_repeated_by_their_seed():
    """What broke once could not be looked at again."""
    once = catalogue.sequences(7, 30)

    assert once == catalogue.sequences(7, 30)
    assert once[:5] == catalogue.sequences(7, 5)
    assert once != catalogue.sequences(8, 30)
    assert {3} == {len({name for name, _ in sequence}) for sequence in once}
    assert all(name in catalogue.FAULTS
               for sequence in once for name, _ in sequence)


def test_every_fault_has_its_turn_alone_and_then_in_sequences():
    """A fault would be in the list and never injected."""
    injections = command.plan(seed=7)

    alone = [[(name, 0)] for name in catalogue.FAULTS]
    assert alone == injections[:len(alone)]
    assert 30 == len(injections) - len(alone)
    assert injections[len(alone):] == command.plan(number=30, seed=7)
    assert [[('heat-killed', 0)], [('heat-killed', 0), ('nova-stopped', 0)]
            ] == command.plan([['heat-killed'],
                               ['heat-killed', 'nova-stopped']])


@pytest.mark.parametrize('words', [
    ['--only', 'heat'], ['--only', 'heat-killed,none'], ['--part', '3/2'],
    ['--phases', 'idle,none']])
def test_nonsense_is_refused(words, capsys):
    """A misspelt fault would be one that never breaks anything."""
    with pytest.raises(SystemExit):
        command.main(words)

    assert words[1] in capsys.readouterr().err


def test_parts_are_the_whole():
    """Two clouds side by side would leave something out."""
    whole = command.plan(seed=7)

    parts = [command.plan(seed=7, part=(index, 2)) for index in (1, 2)]
    assert sorted(whole) == sorted(parts[0] + parts[1])


def test_parts_keep_their_results_apart():
    """The cloud that ends last would overwrite what the others have found."""
    paths = {command.results(part) for part in ((1, 1), (1, 2), (2, 2))}

    assert 3 == len(paths)


REPORT = {
    'release': '2024.1', 'date': '2026-01-01',
    'seed': 7, 'timeout': TIMEOUT, 'seconds': 120,
    'machine': {'cores': 2, 'memory_gib': 16}, 'injections': [
        {'faults': ['heat-killed'], 'seconds': 5, 'broken': ['why']},
        {'faults': ['heat-stopped'], 'seconds': 6, 'broken': [],
         **verdict.counts(record())}]}


def test_summary_shows_what_broke():
    """A breach among fifty lines would be overlooked."""
    text = render.summary(REPORT).splitlines()

    assert '    why' in text
    assert ['BROKEN', 'heat-killed'] == text[2].split()[-2:]
    assert ['kept', 'heat-stopped'] == text[4].split()[-2:]


def test_page_has_what_broke_and_the_seed():
    """Whoever reads the page would believe that all is well."""
    text = render.page([REPORT])

    assert 'seed 7: 2 injections in 2 minutes; 1 sessions, of which 0' in (
        ' '.join(text.split()))
    assert '(broken)' in text
    assert '* heat-killed: why' in text


def test_parts_are_put_together_in_their_order():
    """The table would have the order of the clouds, not of the plan."""
    whole = [{'faults': [name]} for name in 'abcde']
    parts = [dict(REPORT, injections=whole[index::2], seconds=9 - index)
             for index in (0, 1)]

    report = render.merged(parts)
    assert whole == report['injections']
    assert 9 == report['seconds']


def test_lines_are_told_from_each_other():
    """The table of one line would have rows of the other one."""
    new = dict(REPORT, release='2026.2')

    reports = render.by_line([new, REPORT, new])
    assert ['2024.1', '2026.2'] == [report['release'] for report in reports]
    assert [2, 4] == [len(report['injections']) for report in reports]
    text = render.page(reports)
    assert text.index('**OpenStack 2024.1**') < text.index('2026.2')


def test_lines_keep_their_results_apart():
    """A run on one line would overwrite that of the other one."""
    paths = {command.results(part, line) for line in releases.KNOWN
             for part in ((1, 1), (1, 2))}

    assert 2 * len(releases.KNOWN) == len(paths)
    assert 'results.json' == command.results(line='2026.2').name


def test_faults_and_phases_are_those_of_the_line():
    """A service that is not there would be killed, or one left out."""
    has_senlin = releases.is_installed('senlin')

    assert has_senlin == ('senlin-killed' in catalogue.FAULTS)
    assert has_senlin == ('senlin-stopped' in catalogue.FAULTS)
    assert has_senlin != ('removal' in phases.PHASES)
