"""The settings of an experiment's clips: the section `data` of its config."""

from dataclasses import dataclass

from utils.data.corpora import noises
from utils.data.splits import split_name
from utils.settings import check_limits, nearest

NOISES_TABLE = "utils/data/corpora/noises.tsv"
FIELD_DIGITS = {  # the tables and their splits that set the threshold of the field tests: speakers not trained on
    "utils/data/corpora/speech_commands.tsv": "DEV",
    "utils/data/corpora/audiomnist_02.tsv": "TEST",
}
FIELD_WORDS = {  # by name, the tables and their splits whose words the field tests expect to be rejected
    "english-words": ("utils/data/corpora/speech_commands_words.tsv", "DEV"),  # the table has no TEST
    "arabic-words": ("utils/data/corpora/arabic_words.tsv", "TEST"),
}
ARCHIVE_SETTINGS = (  # those that change nothing without synthetic_language
    "synthetic_accents", "synthetic_engines", "synthetic_voice_share", "synthetic_speakers_per_voice",
    "synthetic_understood",
)  # fmt: skip
ARCHIVE = "utils/data/synthesis/archive/{}/{}"  # by language and file


@dataclass(frozen=True)
class DataConfig:
    """Which clips are used, and which speakers are in training (see `utils.data.splits`)."""

    metadata: str = "SDR_metadata.tsv"  # resolved by `utils.paths.find_metadata`
    protocol: str = "course"
    fold: str | None = None  # the speaker who is left out or trained on, or a seed; depends on the protocol
    repetitions: int | None = None  # labelled per digit and training speaker; null: all
    unlabelled: bool = False  # use unlabelled clips too, if the protocol has some
    also_train: tuple[str, ...] = ()  # further tables, whose TRAIN clips are added to the training clips
    also_test: tuple[str, ...] = ()  # further tables, whose TEST clips are reported under the table's name
    oversampling: int = 1  # how often an epoch has each labelled clip of `metadata`; it has synthetic clips once
    synthetic_voices: int = 0  # eSpeak NG voices in training, with one clip of each digit per voice
    synthetic_language: str | None = None  # train on the archive of synthetic speech in this language, such as "en"
    synthetic_accents: int = 0  # eSpeak NG speakers of that language in training, foreign accents among them
    # of the archive's clips, only those of these engines, such as [flite]; null: all. eSpeak NG is not in the archive
    synthetic_engines: tuple[str, ...] | None = None
    # of the archive's clips and of the accents, only:
    synthetic_voice_share: float = 1.0  # this share of each engine's voices, and at least one
    synthetic_speakers_per_voice: int | None = None  # so many speakers (ways of speaking) of each voice; null: all
    synthetic_understood: bool = False  # the words and voices that models of the other engines understand
    non_digits: tuple[str, ...] = ()  # tables of other words, whose TRAIN clips are trained on as non-digits
    noises: tuple[str, ...] = ()  # sources of recorded noise for rooms, and as non-digits if those are learned
    synthetic_non_digits: int = 0  # synthetic words trained on as non-digits, plus a quarter as many noises
    synthetic_music: int = 0  # tones, chords and whistles trained on as non-digits
    field_tests: bool = False  # also test in noise, on strings and on non-digits (`utils.experiments.field_tests`)

    def __post_init__(self):
        if self.synthetic_language == "":
            raise ValueError("synthetic_language must be a language, such as en, or null")
        if self.synthetic_voices != 0 and self.synthetic_voices < 3:
            raise ValueError("synthetic_voices must be 0 or at least 3")
        for name in ("synthetic_non_digits", "synthetic_music"):
            if getattr(self, name) != 0 and getattr(self, name) < 5:
                raise ValueError(f"{name} must be 0 or at least 5")
        for name in ARCHIVE_SETTINGS:
            if self.synthetic_language is None and getattr(self, name) != getattr(DataConfig, name):
                raise ValueError(f"{name} needs synthetic_language")
        if self.synthetic_voice_share <= 0:
            raise ValueError("synthetic_voice_share must be above 0")
        for name in ("also_train", "also_test", "non_digits", "noises", "synthetic_engines"):
            values = getattr(self, name) or ()
            if twice := next((value for value in values if values.count(value) > 1), None):
                raise ValueError(f"{name} has {twice} twice")
        if self.metadata in self.also_train:
            raise ValueError(f"also_train has {self.metadata}, which is trained on already (see oversampling)")
        for source in self.noises:
            if source not in noises.SOURCES:
                raise ValueError(f"noises: unknown source '{source}'; {nearest(source, tuple(noises.SOURCES))}")
        if self.field_tests and not self.test_noises:
            raise ValueError(f"field_tests: no noise is left to test on, as {', '.join(self.noises)} are trained on")
        check_limits(self, synthetic_voices=(0, 10_000), synthetic_accents=(0, 10_000))
        check_limits(self, synthetic_non_digits=(0, 100_000), synthetic_music=(0, 100_000), repetitions=(1, 100_000))
        check_limits(self, synthetic_voice_share=(0, 1), synthetic_speakers_per_voice=(1, 10_000))
        check_limits(self, oversampling=(1, 100))

    @property
    def split_name(self) -> str:
        """The name of its split, by which results are stored (see `utils.data.splits.split_name`)."""
        return split_name(self.protocol, self.fold, self.repetitions)

    @property
    def learns_non_digits(self) -> bool:
        """Whether a model has a class for non-digits."""
        return bool(self.non_digits or self.synthetic_non_digits or self.synthetic_music)

    @property
    def tested_in_field(self) -> bool:
        """Whether the field tests are made: not for each fold, as they need several speakers (babble is of others)."""
        return self.field_tests and self.fold is None

    @property
    def test_noises(self) -> tuple[str, ...]:
        """The sources of noise to test with: those of the first fold that trains on all of ours; () if none does."""
        folds = [tested for trained, tested in noises.FOLDS.values() if set(self.noises) <= set(trained)]
        return folds[0] if folds else ()

    @property
    def tables(self) -> tuple[str, ...]:
        """All metadata tables, each once."""
        return tuple(dict.fromkeys((self.metadata, *self.also_train, *self.also_test, *self.non_digits)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The files that say which clips are used: tables, also of noises and field tests, and files of the archive."""
        names = ["checksums.json"] if self.synthetic_language else []
        names += ["not_understood.tsv"] if self.synthetic_understood else []
        archive = [ARCHIVE.format(self.synthetic_language, name) for name in names]
        noise_tables = [NOISES_TABLE] if self.noises or self.tested_in_field else []
        field = (*FIELD_DIGITS, *(table for table, _ in FIELD_WORDS.values())) if self.tested_in_field else ()
        return tuple(dict.fromkeys((*self.tables, *archive, *noise_tables, *field)))
