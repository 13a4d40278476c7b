"""Names that only some icon sets use, checked by eye against another set's drawing.

Each entry is an emoji that `chars.json` and other sets' names do not find in the set, or for which they find a wrong
icon.
"""

# In fxemoji, "dog" is the face of a dog and "dogside" the whole dog. The other sets use "dog" for the whole dog.
# fmt: off
FXEMOJI = {
    "😀": "grin", "😂": "grintears", "😉": "winking", "😇": "halo", "😍": "hearteyes", "😘": "kiss",
    "😐": "neutral", "😴": "sleeping", "😷": "medicalmask", "😎": "sunglasses", "😮": "openmouth",
    "😢": "crying", "😭": "loudlycrying", "😱": "screamfear", "😡": "angry", "😈": "devilhorns", "💩": "poo",
    "🙈": "monkeysee", "💘": "heartarrow", "💯": "hundredpointssymbol", "💬": "speechbubble", "👌": "aok",
    "👉": "sidewaysrightpointingindex", "☝": "index", "👏": "clap", "🙏": "pray", "✍": "leftwritinghand",
    "💪": "flexbicep", "🎅": "fatherchristmas", "🐶": "dog", "🐕": "dogside", "🐺": "wolfface", "🐱": "cat",
    "🐈": "catside", "🐯": "tiger", "🐅": "tigerside", "🐆": "leopardside", "🐷": "pig", "🐖": "pigside",
    "🐽": "pigsnout", "🐑": "sheep", "🐪": "dromedarycamel", "🐭": "mouse", "🐹": "hampster", "🐰": "bunny",
    "🐇": "bunnyside", "🐼": "pandaface", "🕊": "doveofpeace", "🐉": "dragonside", "🐳": "spurtingwhale",
    "🌲": "evergreen", "🌾": "earofrice", "🍂": "fallingleaf", "🍆": "aubergine", "🌽": "earofmaize",
    "🌶": "chilipepper", "🌰": "acorn", "🍕": "sliceofpizza", "🍛": "curryandrice", "🍽": "forkknife",
    "🔪": "hocho", "🌎": "americasglobe", "🌐": "meridianglobe", "🏔": "snowmountains", "🏖": "beachumbrella",
    "🏠": "housebuilding", "🏰": "europeancastle", "🗼": "toykotower", "🚂": "steamlocomotive",
    "🚅": "highspeedtrainbulletnose", "🚙": "recreationalvehicle", "🏎": "racecar",
    "🚨": "policecarsrevolvinglight", "⌛": "hourglass", "🕰": "manltepiececlock", "☀": "sunrays",
    "🌧": "raincloud", "🌨": "snowcloud", "🌩": "stormcloud", "🎀": "bow", "🎁": "present",
    "🏀": "basketballandhoop", "🎾": "tennisball", "🎣": "fishingpoleandfish", "🎿": "skiandskiboot",
    "🎯": "directhit", "🕶": "darksunglasses", "🎱": "billiards", "♠": "blackspadesuit",
    "🃏": "playingcardblackjoker", "🖼": "framewithpicture", "👔": "tie", "👕": "mansshirt",
    "🎒": "schoolsatchel", "👞": "mensshoe", "👟": "mensrunner", "👠": "heels", "👢": "boot", "💎": "gem",
    "🔇": "speakercancellation", "🔊": "speaker3soundwaves", "📱": "cellphone", "☎": "blacktelephone",
    "📠": "faxicon", "🖱": "twobuttonmouse", "💾": "floppydisk2", "💿": "opticaldisc", "📼": "videocasette",
    "🔍": "leftmagnifyingglass", "🔦": "electrictorch", "🏮": "izakayalantern", "💵": "banknotedollar",
    "📫": "closedmailboxraised", "🗳": "ballottboxwithballott", "🖊": "lowerleftpen",
    "🖌": "lowerleftpaintbrush", "🖍": "lowerleftcrayon", "📈": "chartupwardstrend", "✂": "blackscissors",
    "🔒": "lock", "🔓": "openlock", "🗡": "daggerknife", "🗿": "moyai", "⚠": "warningsign",
    "🚭": "nosmokingsymbol", "➡": "blackrightwardsarrow", "✝": "heavylatincross",
    "▶": "blackrightpointingarrow", "⏩": "blackrightpointingdoublearrow", "📶": "antennawithbars",
    "✖": "heavymultiplicationsymbol", "➕": "heavyplussign", "➗": "heavydivisionsign",
    "❓": "blackquestionmark", "❗": "heavyexclaimationmarksymbol", "♻": "blackuniversalrecyclingsymbol",
    "✅": "whiteheavycheckmark", "🔴": "largeredcircle", "🔺": "uppointingredtriangle",
    "☂": "umbrellawithraindrops", "⚡": "lightningmood", "🚬": "smokingsymbol", "❤": "redheart",
    "⛄": "snowmanwithoutsnow", "🔄": "anticlockwiseupwardsanddownwardsarrows", "🌊": "wave",
}
# fmt: on

# Unicode renamed these after the older sets were drawn.
FORMER_NAMES = {
    "🎯": "direct-hit",
    "🤖": "robot-face",
    "😻": "smiling-cat-face-with-heart-eyes",
    "❓": "question-mark",
    "❗": "exclamation-mark",
}

# The name fits, but the icon shows something else: a cricket bat, a screen window, a tower computer, a scrolling mouse.
MISDRAWN = {
    ("noto-v1", "🦗"),
    ("emojione", "🦗"),
    ("emojione-monotone", "🦗"),
    ("fxemoji", "🪟"),
    ("emojione-v1", "🪟"),
    ("noto-v1", "💻"),
    ("emojione-v1", "💻"),
    ("fxemoji", "🖥"),
    ("emojione-v1", "🖥"),
    ("fxemoji", "🐗"),
    ("emojione-v1", "🛡"),
    ("openmoji", "📜"),
}
