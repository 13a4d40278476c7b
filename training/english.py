"""Everyday English words that improve CLDR's keywords. Other languages use CLDR's keywords unchanged."""

# fmt: off

# Everyday words, comma-separated. They come first, and are kept even if many concepts share them.
ALIASES = {
    "😀": "smiley, face", "😢": "sad face", "😡": "angry face", "😴": "sleepy face", "😎": "cool",
    "❤": "heart, love", "👍": "thumb up", "✋": "hand, palm", "👁": "eyeball", "🐱": "kitten", "🐳": "whale",
    "🦖": "dinosaur", "🐝": "bee", "🐔": "hen", "🐑": "lamb", "🐖": "hog", "🌸": "flower",
    "🌹": "flower", "🌺": "flower", "🌻": "flower", "🌷": "flower", "🪴": "plant, houseplant", "🌱": "plant",
    "🌿": "plant, leaves", "🌾": "wheat, grass", "🌳": "tree", "🍞": "loaf of bread", "🍜": "noodles",
    "🍝": "noodles", "🍳": "fried egg", "☕": "cup of coffee, cup of tea", "🥤": "soda, soft drink",
    "🍷": "red wine", "🍺": "glass of beer", "🍰": "slice of cake, piece of cake", "🎂": "cake",
    "🍗": "chicken leg", "🥩": "steak", "🧀": "cheese", "🥛": "milk", "🍽": "plate",
    "🌎": "earth, globe, world, planet earth", "🗺": "map", "🏖": "beach", "🏝": "island", "🏔": "mountain",
    "🌉": "bridge", "🏠": "home", "🏢": "building", "🏛": "temple", "🏙": "city", "🚗": "car", "🏎": "race car",
    "🚙": "suv", "🚚": "truck", "🛻": "truck", "🚒": "fire truck", "🚅": "train", "🚂": "train, steam train",
    "🏍": "motorbike", "🚲": "bike", "🚦": "traffic light", "⛵": "boat", "🚢": "boat, cruise ship",
    "🛶": "boat, kayak", "✈": "plane", "🚀": "spaceship", "🚁": "chopper", "🧳": "suitcase", "⏰": "clock",
    "🕰": "clock", "⌚": "wristwatch", "🌙": "moon", "🌕": "moon", "☀": "sunshine", "⚡": "lightning bolt",
    "🌊": "wave", "🪐": "saturn", "⚽": "ball, football", "🏀": "ball", "🎾": "tennis ball, ball", "🏐": "ball",
    "🎲": "dice", "🎮": "game controller, gamepad", "🥇": "gold medal", "🎣": "fishing rod", "🎨": "paint",
    "👕": "shirt", "👖": "pants", "👗": "gown", "👟": "sneakers", "👠": "high heels", "👢": "boots",
    "👜": "bag", "🎒": "bag", "🎩": "hat", "🧢": "cap, baseball cap", "👓": "eyeglasses", "💎": "diamond",
    "🎸": "electric guitar", "🎹": "piano", "🎧": "headphones", "🎵": "music", "🔊": "speaker",
    "📱": "smartphone, cell phone", "☎": "phone", "💻": "computer", "🖥": "computer screen",
    "📷": "photo camera", "📺": "tv", "🔍": "magnifying glass", "📖": "book", "📕": "book", "💵": "money",
    "💰": "money, bag of money", "✉": "letter", "📦": "cardboard box", "📫": "mailbox", "✏": "pencil",
    "🖌": "brush", "🗑": "trash can, bin", "🔒": "padlock", "🔨": "tool", "🔧": "tool", "🪛": "tool",
    "⚔": "swords, sword", "🗡": "sword", "⚙": "cog", "💣": "bomb", "💊": "medicine", "🛏": "bed",
    "🛋": "sofa, couch", "🪑": "chair", "🚽": "toilet", "🛁": "bath", "🚬": "cigarette", "💡": "lamp",
    "❓": "question mark", "❗": "exclamation mark", "❌": "x", "✅": "check mark", "♻": "recycle",
    "➡": "arrow", "⬆": "arrow", "➕": "plus sign", "🔴": "circle, red dot", "🟦": "square", "🔺": "triangle",
}

# Keywords that name something else, mostly one half of a compound.
MISLEADING = {
    "🌭": "dog", "🍯": "bear", "🦴": "dog", "👄": "lipstick", "🐵": "banana", "🐒": "banana",
    "🐷": "bacon pork", "🐖": "bacon pork", "🐪": "desert", "🐨": "bear down under", "🐣": "baby", "🪿": "duck",
    "🦭": "lion", "🌻": "sun", "🪴": "house pot", "🌵": "desert", "🌾": "ear rice", "🌽": "ear maze",
    "🫑": "bell", "🍫": "tooth candy", "🍬": "tooth", "🧊": "iceberg", "🍾": "cork", "🏺": "cooking",
    "🏝": "desert", "🍽": "cooking", "🔪": "cooking", "🍳": "easy over side sunny up", "🍲": "pot",
    "🧂": "mad upset taste", "🍸": "mad men", "🍹": "mai tai", "🚅": "nose", "🚌": "school", "🚒": "fire",
    "🛟": "ring", "⚓": "ship", "🏓": "bat", "🥌": "rock", "🪩": "mirror", "🏒": "ice stick", "⛸": "ice",
    "🍦": "ice", "🍨": "ice", "👜": "dress lady", "👠": "dress woman", "👢": "dress", "👒": "garden party",
    "👟": "tennis", "🥾": "camping", "🧢": "baseball dad bent", "💍": "wedding", "💎": "wedding",
    "🔔": "church break", "📼": "school old", "📚": "school", "🎒": "school", "💰": "bank pot", "💵": "bank",
    "💳": "bank", "⛏": "hammer", "🧯": "fire", "🪠": "toilet", "🧻": "toilet", "🩻": "skull",
    "📶": "telephone phone", "🔱": "anchor ship", "😴": "bed", "💥": "bomb", "💬": "balloon", "🙈": "watch",
    "🪤": "cheese", "🦁": "order", "🐙": "creature", "🎱": "eight", "🧴": "bottle", "🎈": "birthday",
    "🥧": "filling meat", "🍪": "chip", "🪝": "point selling", "🎯": "bull hit", "🛍": "hotel", "📯": "post",
}

# CLDR's keywords help people to find an emoji while they write. These do not describe an image.
CHATTER = {
    "143", "adorbs", "af", "again", "appreciate", "awful", "bae", "believe", "bet", "bottoms", "bro", "bs",
    "change", "cmon", "comic", "contact", "cute", "cya", "deja", "done", "dope", "dr", "emotion", "epic",
    "feels", "fine", "fleek", "fml", "forgot", "fosho", "g2g", "gains", "gesture", "goo", "good", "got",
    "gotcha", "great", "gtg", "haha", "hehe", "hey", "hi", "homie", "ily", "improvement", "i’m", "job", "keep",
    "lai", "later", "legit", "lit", "litaf", "lmao", "lol", "major", "men", "miss", "muah", "munch", "nice",
    "no", "nope", "not", "oh", "omg", "omw", "one", "order", "outtie", "own", "pass", "prayed", "rad", "real",
    "rofl", "roflmao", "see", "shade", "slay", "smh", "swag", "sympathy", "tbt", "this", "three", "total",
    "TRUE", "ttfn", "ttyl", "ultimate", "unreal", "watch", "way", "well", "whatever", "where", "whoa", "woah",
    "woohoo", "wow", "xoxo", "yo", "yolo", "you", "yup",
}
