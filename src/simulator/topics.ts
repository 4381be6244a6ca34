/** What a simulated model can say something about: the questions of demos, of getting-started pages and of Ollama's own integration tests, most particular first. */

/** The first pattern that fits a question has its answer. */
export const topics: readonly (readonly [pattern: RegExp, answer: string])[] = [
  [
    /天空/s,
    '天空呈现蓝色是因为大气分子对阳光的散射：蓝光的频率较高，比红光散射得更多。这称为瑞利散射（Rayleigh scattering）。',
  ],
  [
    /\b(story|tale)\b.*\bemojis?\b|\bemojis?\b.*\b(story|tale)\b/is,
    'Once upon a time 🌅 a small boat ⛵ lived by the water 🌊. One sunny day ☀️ it met a friend 🐬, and the two laughed 😄 until the stars ✨ came out.',
  ],
  [
    /\bcolumbus\b/i,
    'In August 1492 Christopher Columbus left Palos with three ships to explore a way west across the ocean. After ten weeks a sailor saw land, and they believed that they had found the Indies; what they had come to discover was another continent.',
  ],
  [
    /\bwhich country|what country\b/i,
    'The passage speaks of Russia, which is to save Europe, beside Austria, England and Prussia at the time of the Napoleonic wars.',
  ],
  [/\bhow many (animals|llamas)\b/i, '4'],
  [/\b(carrying|holding)\b/i, 'One of the animals carries a briefcase.'],
  [/\bglasses\b/i, 'Yes, one of the animals wears glasses.'],
  [
    /\bparody\b|\balbum cover\b/i,
    'It is a parody of the cover of Abbey Road by the Beatles, with llamas in place of the band.',
  ],
  [/\bfar left\b/i, 'The animal on the far left sits at a desk and works on a laptop.'],
  [/\b(text|words?|say)\b.*\bimage\b|\bimage\b.*\b(text|words|says?)\b/is, 'The text in the image says "the ollamas".'],
  [/\bspoken\b|\btranscribe\b/i, 'Why is the sky blue?'],
  [
    /\b(images?|pictures?|photos?)\b/i,
    'A cartoon of four llamas: the animals cross a road one behind the other, each a character of its own.',
  ],
  [/\bhello in one word\b/i, 'Hello!'],
  [/\bhow are you\b/i, 'I am well, thank you. How can I help you today?'],
  [
    /\b(who are you|what can you do)\b/i,
    'I am a simulated model: I answer a few well-known questions, call tools, fill in JSON schemas, and need no GPU.',
  ],
  [
    /\bjokes?\b/i,
    'There are only two hard things in computing: naming things, cache invalidation and off-by-one errors.',
  ],
  [/\bhaiku\b/i, 'Leaves fall on the pond\na laptop sleeps in its bag\nthe queue waits, patient'],
  [
    /\bqueue\b/i,
    'A queue lets one job run at a time while the others wait in order, so a small machine never has to hold two models at once, and nothing is lost when it sleeps.',
  ],
  [
    /\brecursion\b/i,
    'Recursion is when something is defined in terms of itself, with one case that needs no further step.',
  ],
  [
    /\bsky\b.*\bblue\b|\bblue\b.*\bsky\b/is,
    'The sky is blue because the nitrogen and oxygen of the atmosphere scatter sunlight. Short wavelengths such as blue scatter far more than red ones, which is called Rayleigh scattering.',
  ],
  [
    /\b(ocean|sea)\b.*\bblue\b/is,
    'Water molecules absorb the red and orange wavelengths of sunlight and scatter the blue ones back, so the ocean looks blue, the more so with depth.',
  ],
  [
    /\b(dirt|soil)\b/i,
    'Soil is brown because it is a mixture of decomposed organic matter and minerals such as iron oxide, which absorb most wavelengths.',
  ],
  [
    /\brainbows?\b/i,
    'A rainbow forms when sunlight enters raindrops, refracts, reflects from their back and leaves split into the colors of the spectrum.',
  ],
  [
    /\bindependence day\b/i,
    'It marks the fourth of July 1776, when the Continental Congress adopted the Declaration of Independence.',
  ],
  [
    /\bcomposition of air\b|\bair\b.*\b(made|consist)/is,
    'Air is a mixture of gases: about 78 % nitrogen, 21 % oxygen, nearly 1 % argon, some carbon dioxide and water vapor.',
  ],
  [/\b(smil(e|e?y)|emoji)/i, '😀 😊 😄'],
  [/\bcapital of japan\b/i, 'Tokyo.'],
  [/\bcapital of france\b/i, 'Paris.'],
  [/\bsql\b/i, 'select name, count(*) from jobs group by name;'],
  [/\bfibonacci\b/i, 'def f(n):\n    return n if n < 2 else f(n-1) + f(n-2)\n'],
  [/\byes or no\b/i, 'Yes.'],
  [/\b(safe|unsafe)\b/i, 'safe'],
  [/\b(thank you|thanks)\b/i, 'You are welcome!'],
  [/^\s*(hi|hello|hey|hallo|good (morning|evening))\b/i, 'Hello! How can I help you today?'],
  [
    /\b(story|tale|poem)\b/i,
    'Once there was a small lighthouse that had never missed a night. Ships came and went, and its keeper wrote each name into a book.',
  ],
  [
    /\b(physics|chemistry)\b/i,
    'Light is a wave: water and glass refract it, each color at an angle of its own, and that is how a prism makes a spectrum.',
  ],
  [/\bmyths?\b/i, 'The best known myth says that a pot of gold lies at the end of the rainbow.'],
  [/\b(rain|clouds?)\b/i, 'It takes droplets of water in the air and the sun behind you: mist, fog or spray will do.'],
  [
    /\bplanets?\b/i,
    'On Venus a glory has been seen, the sister of a rainbow; Mars has ice and dust, and too little of both.',
  ],
]
