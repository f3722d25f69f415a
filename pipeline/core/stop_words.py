"""Words that are in most texts of a language, so that none of them can be somebody's name by itself.

The most frequent function words of seven languages, folded. Small on purpose: it only keeps a brands file
from claiming every post, it is no linguistics.
"""

from __future__ import annotations

_ENGLISH = """a about after all also am an and any are as at be because been but by can could did do does
down for from get go going good got had has have he her here him his how i if in into is it its just know
like me more my new no not now of off on one only or other our out over she should so some than that the
their them then there these they this time to too up us very want was we well were what when where which who
why will with would you your"""
_GERMAN = """aber als am an auch auf aus bei bin bis da dann das dass dem den der des die doch du ein eine
einem einen einer er es für haben hat ich ihr im in ist ja kann kein man mein mich mir mit nach nicht noch
nur oder schon sehr sich sie sind so um und uns vom von vor war was wenn wer wie wir wird zu zum zur über"""
_FRENCH = """ai au aux avec avez ce ces cette dans de des du elle en est et eux il je la le les leur lui ma
mais me mes moi mon ne nos notre nous on ou par pas plus pour qu que qui sa se ses si son sont sur ta te toi
ton tu un une vos votre vous y à été être"""
_SPANISH = """al como con cuando de del desde donde el ella ellos en entre era es esta este esto está fue ha
hay la las le les lo los me mi muy más ni no nos o para pero por porque que qué se ser si sin sobre son su
sus sí también te tiene todo tu un una uno y ya yo"""
_ITALIAN = """che chi ci con cosa da dei del della di e gli ha hanno ho i il in io l la le lei li lo lui ma
mi nel noi non o per perché più quando questa questo se sei si sono su te ti tu un una uno è"""
_PORTUGUESE = """ao as com como da das de do dos e ela ele em essa esse esta este eu foi isso já lhe mais
mas me meu minha muito na nas no nos nós não o os ou para pela pelo por porque quando que se sem ser seu sua
são também te tem um uma você à é"""
_DUTCH = """aan al als bij dan dat de den der deze die dit doen door een en er ge geen had heb hebben heeft
het hij hoe hun ik in is je kan maar me meer men met mij mijn na naar niet nog nu of om omdat ons ook op
over te tot u uit van veel voor want was wat we wel werd wie wij zal ze zich zij zijn zo zou"""

ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())
OTHER_STOP_WORDS = frozenset(" ".join((_GERMAN, _FRENCH, _SPANISH, _ITALIAN, _PORTUGUESE, _DUTCH)).split())
"""Of the six other languages; some are English words as well."""
STOP_WORDS = ENGLISH_STOP_WORDS | OTHER_STOP_WORDS
"""Folded as names are."""
