"""`sdr data`: download or synthesise a corpus, and check it or the synthetic voices."""

import argparse

from utils.commands import arguments, data_check, data_mixtures, data_voices
from utils.commands.arguments import add_command

HELP = "download or synthesise a corpus, and check it"
CORPORA = {
    "sdr": "download the course's clips (FSDD), or verify those that are there",
    "audiomnist": "download AudioMNIST, or list the clips that are there",
    "arabic": "verify Arabic Speech Commands",
    "speech_commands": "download Google's Speech Commands, or verify it",
    "noises": "download recordings of noise (ESC-10), and verify those of the other corpora",
    "synthetic": "generate English digits spoken by eSpeak NG",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, dest="corpus", metavar="CORPUS", parser_class=arguments.Parser)
    parsers = {name: add_command(commands, name, does) for name, does in CORPORA.items()}
    add = parsers["synthetic"].add_argument
    add("--speakers", type=arguments.whole(), default=12, help="number of voices (default: %(default)s)")
    add("--repetitions", type=arguments.whole(), default=10, help="of each digit by each voice (default: %(default)s)")
    add("--seed", type=arguments.seed, default=0, help="the same seed gives the same clips (default: %(default)s)")
    for name, module in (("check", data_check), ("mixtures", data_mixtures), ("voices", data_voices)):
        command = add_command(commands, name, module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)


def run(given: argparse.Namespace) -> None:
    from utils.data.corpora import arabic, audiomnist, fsdd, noises, speech_commands
    from utils.data.synthesis import corpus
    from utils.paths import speech_data

    folder = speech_data() / given.corpus
    match given.corpus:
        case "sdr":
            print(fsdd.fetch(speech_data()))
        case "audiomnist":
            print(audiomnist.fetch(folder))
        case "arabic":
            print(arabic.check(folder))
        case "speech_commands":
            print(speech_commands.fetch(folder))
        case "noises":
            print(noises.fetch(speech_data()))
        case "synthetic":
            print(corpus.speak(folder, speakers=given.speakers, repetitions=given.repetitions, seed=given.seed))
