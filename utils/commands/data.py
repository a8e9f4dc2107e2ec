"""`sdr data`: download or synthesise a corpus, and check it."""

import argparse

from utils.commands import arguments

HELP = "download or synthesise a corpus, and check it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = "the course's clips (FSDD), AudioMNIST, Arabic Speech Commands, or speech by eSpeak NG"
    parser.add_argument("corpus", choices=("sdr", "audiomnist", "arabic", "synthetic"), help=known)
    add = parser.add_argument_group("synthetic").add_argument
    add("--speakers", type=int, default=12, help="number of voices (default: %(default)s)")
    add("--repetitions", type=int, default=10, help="of each digit by each voice (default: %(default)s)")
    add("--seed", type=arguments.seed, default=0, help="the same seed gives the same clips (default: %(default)s)")


def run(given: argparse.Namespace) -> None:
    from utils.data.corpora import arabic, audiomnist, fsdd
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
        case "synthetic":
            print(corpus.speak(folder, speakers=given.speakers, repetitions=given.repetitions, seed=given.seed))
