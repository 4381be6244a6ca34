/** Proves, spelling by spelling, which addresses each policy lets a webhook go to, and what a URL alone gives away. */
import { describe, expect, test } from 'bun:test'
import { addressProblem, checkUrl, type OffLimit, type WebhookPolicy } from '../../src/webhook/address.ts'
import { formatIp, kindOf, parseIp } from '../../src/webhook/ip.ts'
import { figure } from '../support/figures.ts'

type Verdict = 'public' | 'lan' | 'nowhere'

/** Host as written in a URL, and the strictest policy that lets it through: public, lan (not public), or nowhere (only any). */
const spellings: readonly (readonly [string, Verdict])[] = [
  ['93.184.215.14', 'public'],
  ['1.1.1.1', 'public'],
  ['172.15.255.255', 'public'],
  ['172.32.0.0', 'public'],
  ['100.63.255.255', 'public'],
  ['100.128.0.0', 'public'],
  ['[2606:4700:4700::1111]', 'public'],
  ['[::ffff:1.1.1.1]', 'public'],
  ['[64:ff9b::1.1.1.1]', 'public'],
  // Loopback, in every spelling a URL parser knows.
  ['127.0.0.1', 'lan'],
  ['127.255.255.254', 'lan'],
  ['2130706433', 'lan'],
  ['0x7f000001', 'lan'],
  ['017700000001', 'lan'],
  ['0x7f.1', 'lan'],
  ['0177.0.0.1', 'lan'],
  ['127.1', 'lan'],
  ['127.0.1', 'lan'],
  ['127.0.0.1.', 'lan'],
  ['①②⑦.⓪.⓪.①', 'lan'],
  ['127。0。0。1', 'lan'],
  ['%31%32%37.0.0.1', 'lan'],
  ['localhost', 'lan'],
  ['LOCALHOST', 'lan'],
  ['localhost.', 'lan'],
  ['receiver.localhost', 'lan'],
  ['ｌｏｃａｌｈｏｓｔ', 'lan'],
  ['[::1]', 'lan'],
  ['[0:0:0:0:0:0:0:1]', 'lan'],
  ['[::ffff:127.0.0.1]', 'lan'],
  ['[::ffff:7f00:1]', 'lan'],
  // The home: private, ULA, Tailscale.
  ['10.0.0.5', 'lan'],
  ['10.255.255.255', 'lan'],
  ['172.16.0.1', 'lan'],
  ['172.31.255.255', 'lan'],
  ['192.168.1.20', 'lan'],
  ['3232235796', 'lan'],
  ['0300.0250.1.024', 'lan'],
  ['[::ffff:192.168.1.20]', 'lan'],
  ['100.64.0.1', 'lan'],
  ['100.101.102.103', 'lan'],
  ['100.127.255.255', 'lan'],
  ['[fd7a:115c:a1e0::1]', 'lan'],
  ['[fc00::1]', 'lan'],
  // Link-local and metadata services.
  ['169.254.169.254', 'nowhere'],
  ['169.254.0.1', 'nowhere'],
  ['2852039166', 'nowhere'],
  ['0xa9fea9fe', 'nowhere'],
  ['0251.0376.0251.0376', 'nowhere'],
  ['169.254.43518', 'nowhere'],
  ['[::ffff:169.254.169.254]', 'nowhere'],
  ['[::ffff:a9fe:a9fe]', 'nowhere'],
  ['[64:ff9b::169.254.169.254]', 'nowhere'],
  ['[fe80::1]', 'nowhere'],
  ['[febf:ffff::1]', 'nowhere'],
  ['[fd00:ec2::254]', 'nowhere'],
  ['[fd20:ce::254]', 'nowhere'],
  ['100.100.100.200', 'nowhere'],
  ['168.63.129.16', 'nowhere'],
  ['192.0.0.192', 'nowhere'],
  // Unspecified, multicast, broadcast, reserved.
  ['0.0.0.0', 'nowhere'],
  ['0', 'nowhere'],
  ['0.1.2.3', 'nowhere'],
  ['[::]', 'nowhere'],
  ['[::ffff:0.0.0.0]', 'nowhere'],
  ['224.0.0.1', 'nowhere'],
  ['239.255.255.250', 'nowhere'],
  ['[ff02::1]', 'nowhere'],
  ['255.255.255.255', 'nowhere'],
  ['240.0.0.1', 'nowhere'],
  ['192.0.2.1', 'nowhere'],
  ['198.18.0.1', 'nowhere'],
  ['198.51.100.7', 'nowhere'],
  ['203.0.113.7', 'nowhere'],
  ['[2001:db8::1]', 'nowhere'],
  ['[fec0::1]', 'nowhere'],
  // An IPv4 address inside, where what it leads to is somebody else's decision.
  ['[64:ff9b::127.0.0.1]', 'nowhere'],
  ['[64:ff9b::10.0.0.1]', 'nowhere'],
  ['[64:ff9b:1::10.0.0.1]', 'nowhere'],
  ['[2002:7f00:1::1]', 'nowhere'],
  ['[2002:a9fe:a9fe::]', 'nowhere'],
  ['[2001:0:7f00:1::]', 'nowhere'],
  ['[2001:0:1:2:3:4:80ff:fffe]', 'nowhere'],
  ['[::127.0.0.1]', 'nowhere'],
  ['[::ffff:0:127.0.0.1]', 'nowhere'],
  ['[100::1]', 'nowhere'],
]

const lets = (policy: WebhookPolicy, verdict: Verdict): boolean =>
  policy === 'any' || verdict === 'public' || (policy === 'lan' && verdict === 'lan')

describe('addresses', () => {
  test('every spelling gets its verdict under every policy', () => {
    const wrong = spellings.flatMap(([host, verdict]) =>
      (['public', 'lan', 'any'] as const)
        .filter((policy) => (checkUrl(`http://${host}:9000/hook`, policy).kind === 'ok') !== lets(policy, verdict))
        .map((policy) => `${host} under ${policy}: expected ${verdict}`),
    )
    expect(wrong).toEqual([])
    expect(spellings.length).toBeGreaterThanOrEqual(60)
    figure('W6', `${spellings.length} spellings x 3 policies, wrong verdicts: ${wrong.length}`)
  })

  test('Tailscale is reachable under lan and not under public', () => {
    expect(checkUrl('http://100.101.102.103/hook', 'lan')).toMatchObject({ kind: 'ok' })
    expect(checkUrl('http://100.101.102.103/hook', 'public')).toEqual({
      kind: 'refused',
      message:
        'the webhook URL cannot be used: 100.101.102.103 is a shared address (100.64.0.0/10), where FOREMAN_WEBHOOK_POLICY=public lets no webhook go',
    })
  })

  test('texts that parsers read differently are no addresses at all', () => {
    const odd = ['0177.0.0.1', '127.1', '2130706433', '0x7f.1', '1.2.3.4.5', '1.2.3', '256.1.1.1', '', ' 127.0.0.1']
    const oddV6 = [
      ':::1',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '12345::',
      '::1.2.3',
      '::1.2.3.4:5',
      '1.2.3.4::',
    ]
    expect([...odd, ...oddV6, '::g', '1:2:3:4:5:6:7:8::'].filter((text) => parseIp(text) !== null)).toEqual([])
  })

  test.each([
    ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
    ['[::1]', '0:0:0:0:0:0:0:1'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1::', '1:0:0:0:0:0:0:0'],
    ['203.0.113.255', '203.0.113.255'],
  ])('%p is printed as %p, which reads as the same address', (text, printed) => {
    const ip = parseIp(text)!
    expect(formatIp(ip)).toBe(printed)
    expect(parseIp(printed)).toEqual(ip)
    expect(kindOf(parseIp(printed)!)).toBe(kindOf(ip))
  })
})

describe('foreman and the target', () => {
  const offLimits: readonly OffLimit[] = [
    { what: 'foreman itself', host: '127.0.0.1', port: 8080 },
    { what: 'the Ollama server', host: '192.168.1.30', port: 11434 },
    { what: 'the Ollama server', host: 'gpu-box', port: 11434 },
  ]

  test.each([
    'http://127.0.0.1:8080/jobs',
    'http://localhost:8080/',
    'http://127.9.9.9:8080/',
    'http://[::1]:8080/',
    'http://[::ffff:127.0.0.1]:8080/',
    'http://192.168.1.30:11434/api/pull',
    'http://[::ffff:c0a8:11e]:11434/',
    'http://3232235806:11434/',
    'http://gpu-box:11434/',
    'http://GPU-BOX.:11434/',
  ])('%s is refused under lan and public, and not under any', (url) => {
    expect(checkUrl(url, 'lan', offLimits)).toMatchObject({ kind: 'refused' })
    expect(checkUrl(url, 'public', offLimits)).toMatchObject({ kind: 'refused' })
    expect(checkUrl(url, 'any', offLimits)).toMatchObject({ kind: 'ok' })
  })

  test.each(['http://127.0.0.1:9000/', 'http://192.168.1.30:8080/', 'http://gpu-box/', 'http://192.168.1.31:11434/'])(
    '%s is another port or another machine, and is fine under lan',
    (url) => expect(checkUrl(url, 'lan', offLimits)).toMatchObject({ kind: 'ok' }),
  )

  test('the refusal says what it is that may not be reached', () => {
    expect(addressProblem('lan', parseIp('192.168.1.30')!, 11434, offLimits)).toBe(
      '192.168.1.30 port 11434 is the Ollama server, where no webhook may go',
    )
  })
})

describe('what a URL alone gives away', () => {
  test.each([
    ['not a url', 'it is not an absolute URL'],
    ['/hook', 'it is not an absolute URL'],
    ['http://', 'it is not an absolute URL'],
    ['http://256.1.1.1/', 'it is not an absolute URL'],
    ['http://[fe80::1%25eth0]/', 'it is not an absolute URL'],
    ['ftp://example.com/', 'its scheme is neither http nor https'],
    ['file:///etc/passwd', 'its scheme is neither http nor https'],
    ['javascript:alert(1)', 'its scheme is neither http nor https'],
    ['unix:/var/run/docker.sock', 'its scheme is neither http nor https'],
    ['http://user@example.com/', 'it carries credentials'],
    ['https://:secret@example.com/', 'it carries credentials'],
    ['http://example.com:0/', 'port 0 cannot be dialled'],
  ])('%p is refused because %p, whatever the policy', (url, because) => {
    for (const policy of ['public', 'lan', 'any'] as const) {
      const checked = checkUrl(url, policy)
      expect(checked.kind === 'refused' && checked.message).toContain(because)
    }
  })

  test('an endless URL is refused', () => {
    const checked = checkUrl(`http://example.com/${'a'.repeat(3_000)}`, 'any')
    expect(checked.kind === 'refused' && checked.message).toContain('it is longer than 2048 characters')
  })

  test.each(['https://example.com/hook?token=x#there', 'http://receiver:9000', 'HTTP://NAS.local/hook'])(
    '%p is a name, and names are judged when they are resolved',
    (url) => expect(checkUrl(url, 'public')).toMatchObject({ kind: 'ok' }),
  )
})
