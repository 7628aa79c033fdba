"""What a speaker says without meaning it, and words that carry little: the data behind the policies.

Three grades. SOUNDS are dropped on both sides before anything is compared, so that adding or removing them cannot
change a verdict. DISCOURSE phrases hold the floor; when one is lost its characters weigh less than grammar. LIGHT words
are grammar: losing one weighs half a content word, because good editors move and merge them. Chinese is in simplified
characters here: texts are folded before they are looked up (see `normalise.fold`).
"""

from __future__ import annotations

import re

# Hesitation and sentence-final particles. 哈 and 啦 also occur inside names (哈尔滨): they are dropped on both sides
# alike, and the rest of the name is still compared.
ZH_SOUNDS = frozenset("嗯呃啊哦噢喔诶欸唉哎呀嘛啦哈嘿哟呗咯")
_EN_SOUNDS = "um uh uhm umm uhh er erm hmm hm mm mhm mmm huh ah oh eh"
EN_SOUNDS = frozenset(_EN_SOUNDS.split())

# Phrases that hold the floor. Longest first, so that a phrase is not split by its own beginning.
_ZH_DISCOURSE = (
    "就是说 也就是说 怎么说呢 怎么说 你知道吗 你知道 我跟你说 这么说吧 的话 就是 "
    "那个 这个 然后 所以 其实 但是 因为 反正 那么 那种 这种 对不对 是不是 对吧 "
    "是吧 对 呢 吧 这样 那样 什么的 什么 之类的 一种 一个 一些 的一个 还有 而且 "
    "可能 我觉得 我感觉 好像 比较 真的 基本上 可是 或者 或者说 的时候 特别 非常 "
    "有点 有些 一下 一点 现在 已经 这里 那里 它 他 她 了 的 啥的 那些 这些"
)
ZH_DISCOURSE = re.compile("|".join(sorted(_ZH_DISCOURSE.split(), key=len, reverse=True)))
_EN_DISCOURSE = (
    "you know|i mean|sort of|kind of|you see|let's say|let us say|or something|or whatever|and so on|"
    "at the end of the day|"
    "i think|i guess|i would say|basically|actually|literally|obviously|like|so|well|yeah|yes|okay|ok|right|"
    "and|but|just|really|anyway|please|sorry|let me|worries|go ahead|thank you|thanks a lot|appreciate it|perfect|"
    "great|good morning|good afternoon|hello|hi|welcome"
)
EN_DISCOURSE = frozenset(word for phrase in _EN_DISCOURSE.split("|") for word in phrase.split())

# Words that no clause ends with: one that does was broken off.
_EN_DANGLING = (
    "a an the of to and or but in on at for with from as if than by into because i we he she they my your our"
)
EN_DANGLING = frozenset(_EN_DANGLING.split())

# Courtesies that a speaker's neighbours throw in, and that recognisers and transcribers keep or leave out.
EN_COURTESY = frozenset(["thank", "thanks", "appreciate", "perfect", "great", "welcome", "hello", "hi"])

# Chinese characters that serve grammar more than meaning.
ZH_LIGHT = frozenset(
    "的了是在就那这个呢吧着过得地和与及也都还又很太更最会要能可把被让给对向从到于以而且但所因为如果然后其实我你咱他她它们说有些么什吗之上下里中来去将即该种样只才再已经"
)
_EN_LIGHT = (
    "a an the is are was were be been being am do does did has have had will would can could shall should may "
    "might must of to in on at for by with from as into about over out up down off it its this that these those "
    "there here he she they we you i me him her them us my your his their our who which what when where how if "
    "then than or and but so because very just also too more some any all both each such only own same now s re "
    "ve ll d m t not"
)
EN_LIGHT = frozenset(_EN_LIGHT.split())

# Units of amount that a written form turns into a sign.
_UNITS = "percent percentage dollars dollar point cents euros pounds 元 块"
UNITS = frozenset(_UNITS.split())
