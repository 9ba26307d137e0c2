# Completion of stillthere for fish. Made from the tables of options by `make manual`: changes to this file are lost.

# Whether the line is one of this command, whose name comes first.
function __stillthere_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

# Whether the second word is one of these; without any, whether there is none yet.
function __stillthere_lab
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = lab; or return 1
    if test (count $argv) -eq 0
        test (count $words) -eq 2
    else
        test (count $words) -ge 3; and contains -- $words[3] $argv
    end
end

# The ids of the peers of the server that the line names, or of the one on this machine.
function __stillthere_ids
    set -l words (commandline -opc)
    set -l asked
    for at in (seq 2 (count $words))
        switch $words[$at]
            case '--admin=*' '--admin-token-file=*'
                set -a asked $words[$at]
            case --admin --admin-token-file
                set -a asked $words[$at] $words[(math $at + 1)]
        end
    end
    $words[1] who --patience 500ms $asked 2>/dev/null | string match -rg '^(\S+-\S+)\s'
end

# What a list with commas may go on with.
function __stillthere_some
    set -l before (string replace -r '[^,=]*$' '' -- (commandline -ct) | string replace -r '^--[a-z-]+=' '')
    printf "$before%s\n" $argv
end

complete -c stillthere -f
complete -c stillthere -s h -l help -d 'list the options'
complete -c stillthere -s V -l version -d 'print the version'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a serve -d 'run the server'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a who -d 'list the peers of a server, or one in full'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a drop -d 'have a server let peers go'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a upgrade -d 'have a server run its new program, and keep its peers'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a top -d 'watch the peers of a server in a terminal'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a load -d 'open very many connections to any TCP server'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a lab -d 'cut the cable, see what happens'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a plan -d 'what a deadline costs and risks'
complete -c stillthere -n 'test (count (commandline -opc)) -eq 1' -a help -d 'list the commands'

complete -c stillthere -n '__stillthere_in serve' -l service -x -a 'echo discard heartbeat' -d 'echo (default), discard or heartbeat'
complete -c stillthere -n '__stillthere_in serve' -l max-connections -x -d 'default: what the descriptor limit allows'
complete -c stillthere -n '__stillthere_in serve' -l grace -x -d 'to deliver output after SIGTERM (default 10s)'
complete -c stillthere -n '__stillthere_in serve' -l log -x -a 'off error warn info debug trace' -d 'off, error, warn, info (default), debug or trace'
complete -c stillthere -n '__stillthere_in serve' -l admin -x -a '127.0.0.1:7070 unix:' -d 'ADDR:PORT or unix:PATH for who is there, and metrics'
complete -c stillthere -n '__stillthere_in serve' -l admin-token-file -r -F -d 'the token that the admin port wants'
complete -c stillthere -n '__stillthere_in serve' -l events -r -F -a '- tcp: unix:' -d 'JSON lines to -, FILE, unix:PATH or tcp:ADDR:PORT'
complete -c stillthere -n '__stillthere_in serve' -l config -r -F -d 'lines of `option value`; SIGHUP reads it again'
complete -c stillthere -n '__stillthere_in serve' -l check -d 'say what is wrong in all that is given; start nothing'
complete -c stillthere -n '__stillthere_in serve' -l profile -x -a 'tiny' -d 'tiny: the bounds for a board with 16 MiB'
complete -c stillthere -n '__stillthere_in serve' -l log-format -x -a 'text json' -d 'text (default), or json: an object a line'
complete -c stillthere -n '__stillthere_in serve' -l keep-peers-over-restart -d 'SIGTERM leaves the peers with systemd'
complete -c stillthere -n '__stillthere_in serve' -l drain -x -d 'spread the closes of a stop over this long (off)'
complete -c stillthere -n '__stillthere_in serve' -l user -x -a '(__fish_complete_users)' -d 'become this user when all is open (root only)'
complete -c stillthere -n '__stillthere_in serve' -l sandbox -d 'then forbid files and ports that were not configured'
complete -c stillthere -n '__stillthere_in serve' -l backlog -x -d 'peers that may wait to be accepted (default 4096)'
complete -c stillthere -n '__stillthere_in serve' -l reuse-port -d 'let several processes listen on the port'
complete -c stillthere -n '__stillthere_in serve' -l deadline -x -d 'sets the next three together (default 35s)'
complete -c stillthere -n '__stillthere_in serve' -l idle -x -d 'silence before the first probe (default 5s)'
complete -c stillthere -n '__stillthere_in serve' -l interval -x -d 'from one probe to the next (default 5s)'
complete -c stillthere -n '__stillthere_in serve' -l count -x -d 'unanswered probes until it is dropped (default 6)'
complete -c stillthere -n '__stillthere_in serve' -l user-timeout -x -a 'auto sliding off' -d 'data unacked: auto (default), sliding, off, 4500ms'
complete -c stillthere -n '__stillthere_in serve' -l heartbeat -x -d 'silence before a PING is sent (default 30s)'
complete -c stillthere -n '__stillthere_in serve' -l heartbeat-timeout -x -d 'time to answer it (default 10s)'
complete -c stillthere -n '__stillthere_in serve' -l expect -x -d 'drop a peer that sends nothing for this long (off)'
complete -c stillthere -n '__stillthere_in serve' -l max-per-address -x -d 'peers from one IPv4 address or one IPv6 /64 (off)'
complete -c stillthere -n '__stillthere_in serve' -l max-output -x -d 'output that may wait for one peer (default 256K)'
complete -c stillthere -n '__stillthere_in serve' -l max-memory -x -d 'output that may wait in all (a quarter of memory)'
complete -c stillthere -n '__stillthere_in serve' -l stalled -x -d 'drop a peer whose output is stuck this long (off)'
complete -c stillthere -n '__stillthere_in serve' -l when-full -x -a 'wait refuse evict-oldest-idle' -d 'wait (default), refuse or evict-oldest-idle'

complete -c stillthere -n '__stillthere_in who' -l admin -x -a '127.0.0.1:7070 unix:' -d 'or unix:PATH: its admin port (default 127.0.0.1:7070)'
complete -c stillthere -n '__stillthere_in who' -l admin-token-file -r -F -d 'the token that it wants, if any'
complete -c stillthere -n '__stillthere_in who' -l patience -x -d 'time for it to answer (default 10s)'
complete -c stillthere -n '__stillthere_in who' -l sort -x -a 'silence age bytes' -d 'silence, age or bytes, the most first'
complete -c stillthere -n '__stillthere_in who' -l from -x -d 'only those from this address or network'
complete -c stillthere -n '__stillthere_in who' -l json -d 'a line of JSON for each, and nothing else'
complete -c stillthere -n '__stillthere_in who' -l quiet -d 'none: exit code 0 if the server is ready, else 1'
complete -c stillthere -n '__stillthere_in who' -a '(__stillthere_ids)' -d peer

complete -c stillthere -n '__stillthere_in drop' -l admin -x -a '127.0.0.1:7070 unix:' -d 'or unix:PATH: its admin port (default 127.0.0.1:7070)'
complete -c stillthere -n '__stillthere_in drop' -l admin-token-file -r -F -d 'the token that it wants, if any'
complete -c stillthere -n '__stillthere_in drop' -l patience -x -d 'time for it to answer (default 10s)'
complete -c stillthere -n '__stillthere_in drop' -a '(__stillthere_ids)' -d peer

complete -c stillthere -n '__stillthere_in upgrade' -l admin -x -a '127.0.0.1:7070 unix:' -d 'or unix:PATH: its admin port (default 127.0.0.1:7070)'
complete -c stillthere -n '__stillthere_in upgrade' -l admin-token-file -r -F -d 'the token that it wants, if any'
complete -c stillthere -n '__stillthere_in upgrade' -l patience -x -d 'time for it to answer (default 10s)'

complete -c stillthere -n '__stillthere_in top' -l admin -x -a '127.0.0.1:7070 unix:' -d 'or unix:PATH: its admin port (default 127.0.0.1:7070)'
complete -c stillthere -n '__stillthere_in top' -l admin-token-file -r -F -d 'the token that it wants, if any'
complete -c stillthere -n '__stillthere_in top' -l patience -x -d 'time for it to answer (default 10s)'

complete -c stillthere -n '__stillthere_in load' -l connections -x -d 'how many to open and hold (default 1000)'
complete -c stillthere -n '__stillthere_in load' -l connect-rate -x -d 'opened per second, at most (default 5000)'
complete -c stillthere -n '__stillthere_in load' -l patience -x -d 'time limit to connect and be greeted (default 10s)'
complete -c stillthere -n '__stillthere_in load' -l source -x -d 'source addresses, used in turn (default: kernel\'s)'
complete -c stillthere -n '__stillthere_in load' -l speak -x -a 'echo redis mqtt memcached none' -d 'echo (default), redis, mqtt, memcached, none'
complete -c stillthere -n '__stillthere_in load' -l active -x -d 'connections that send requests (default 10)'
complete -c stillthere -n '__stillthere_in load' -l size -x -d 'size of a request (default 64)'
complete -c stillthere -n '__stillthere_in load' -l rate -x -d 'requests per second in all; else after each answer'
complete -c stillthere -n '__stillthere_in load' -l grace -x -d 'time to wait for late answers (default 2s)'
complete -c stillthere -n '__stillthere_in load' -l time -x -d 'length of the measurement (default 10s)'
complete -c stillthere -n '__stillthere_in load' -l fail-if -x -d 'exit with 1 if p99>5ms,errors>1%,held<100'
complete -c stillthere -n '__stillthere_in load' -l pid -x -a '(__fish_complete_pids)' -d 'measure memory and CPU of this server (and children)'
complete -c stillthere -n '__stillthere_in load' -l json -r -F -d 'the report as JSON'
complete -c stillthere -n '__stillthere_in load' -l html -r -F -d 'the report as a page with plots'

complete -c stillthere -n '__stillthere_in lab' -l preset -x -a '(__stillthere_some stillthere textbook redis mosquitto haproxy haproxy-tcp-ut nginx socat socat-user-timeout memcached all)' -d 'one of those below, several with commas, or all'
complete -c stillthere -n '__stillthere_in lab' -l server -x -a '(__fish_complete_command)' -d 'any server; {addr}, {port} and more are filled in'
complete -c stillthere -n '__stillthere_in lab' -l file -x -d 'writes a file for it; {NAME} is its path'
complete -c stillthere -n '__stillthere_in lab' -l name -x -d 'the name of the server in reports'
complete -c stillthere -n '__stillthere_in lab' -l start-patience -x -d 'time for it to start listening (10s)'
complete -c stillthere -n '__stillthere_in lab' -l speak -x -a 'echo redis mqtt memcached http postgres none' -d 'echo, redis, mqtt, memcached, http, postgres or none'
complete -c stillthere -n '__stillthere_in lab' -l ask -x -d 'the bytes of a question, such as \'PING\\r\\n\''
complete -c stillthere -n '__stillthere_in lab' -l answer -x -d 'a regular expression for its answer'
complete -c stillthere -n '__stillthere_in lab' -l banner -d 'the server speaks first'
complete -c stillthere -n '__stillthere_in lab' -l ipv6 -d 'use IPv6 networks'
complete -c stillthere -n '__stillthere_in lab' -l deadline -x -d 'sets the next three together (default 5s)'
complete -c stillthere -n '__stillthere_in lab' -l idle -x -d 'silence before the first probe'
complete -c stillthere -n '__stillthere_in lab' -l interval -x -d 'from one probe to the next'
complete -c stillthere -n '__stillthere_in lab' -l count -x -d 'unanswered probes until a peer is dropped'
complete -c stillthere -n '__stillthere_in lab' -l user-timeout -x -a 'auto sliding off' -d 'of our own server, as for `serve`'
complete -c stillthere -n '__stillthere_in lab' -l cap -x -d 'how long a dead peer is watched (60s)'
complete -c stillthere -n '__stillthere_in lab' -l keep -x -d 'how long a living peer is watched'
complete -c stillthere -n '__stillthere_in lab' -l pcap -r -F -d 'the packets, for Wireshark'
complete -c stillthere -n '__stillthere_in lab' -l svg -r -F -d 'a figure of the timeline'
complete -c stillthere -n '__stillthere_in lab' -l jobs -x -d 'scenes in parallel (16)'
complete -c stillthere -n '__stillthere_in lab' -l at-once -x -d 'networks that are set up at once (all)'
complete -c stillthere -n '__stillthere_in lab' -l json -r -F -d 'the matrix as JSON'
complete -c stillthere -n '__stillthere_in lab' -l html -r -F -d 'the matrix as a page'
complete -c stillthere -n '__stillthere_in lab' -l markdown -r -F -d 'the matrix as Markdown'
complete -c stillthere -n __stillthere_lab -a run -d 'play a scene and print each packet'
complete -c stillthere -n __stillthere_lab -a matrix -d 'play all scenes, or these'
complete -c stillthere -n __stillthere_lab -a list -d 'explain the states and the faults'
complete -c stillthere -n __stillthere_lab -a compare -d 'compare matrices'
complete -c stillthere -n '__stillthere_lab run matrix' -a 'idle/black-hole idle/link-down idle/in-dead idle/out-dead idle/host-unreachable idle/admin-prohibited idle/arp-gone idle/nat-forgot idle/queue-full idle/rebooted idle/killed idle/closed idle/half-close-then-cut idle/reset idle/frozen idle/lossy-10 idle/lossy-30 idle/none exchanged/black-hole exchanged/link-down exchanged/in-dead exchanged/out-dead exchanged/host-unreachable exchanged/admin-prohibited exchanged/arp-gone exchanged/nat-forgot exchanged/queue-full exchanged/rebooted exchanged/killed exchanged/closed exchanged/half-close-then-cut exchanged/reset exchanged/frozen exchanged/lossy-10 exchanged/lossy-30 exchanged/none in-flight/black-hole in-flight/link-down in-flight/in-dead in-flight/out-dead in-flight/host-unreachable in-flight/admin-prohibited in-flight/arp-gone in-flight/nat-forgot in-flight/queue-full in-flight/rebooted in-flight/killed in-flight/closed in-flight/half-close-then-cut in-flight/reset in-flight/frozen in-flight/lossy-10 in-flight/lossy-30 in-flight/none both-in-flight/black-hole both-in-flight/link-down both-in-flight/in-dead both-in-flight/out-dead both-in-flight/host-unreachable both-in-flight/admin-prohibited both-in-flight/arp-gone both-in-flight/nat-forgot both-in-flight/queue-full both-in-flight/rebooted both-in-flight/killed both-in-flight/closed both-in-flight/half-close-then-cut both-in-flight/reset both-in-flight/frozen both-in-flight/lossy-10 both-in-flight/lossy-30 both-in-flight/none window-shut/black-hole window-shut/link-down window-shut/in-dead window-shut/out-dead window-shut/host-unreachable window-shut/admin-prohibited window-shut/arp-gone window-shut/nat-forgot window-shut/queue-full window-shut/rebooted window-shut/killed window-shut/closed window-shut/half-close-then-cut window-shut/reset window-shut/frozen window-shut/lossy-10 window-shut/lossy-30 window-shut/none window-shrunk/black-hole window-shrunk/link-down window-shrunk/in-dead window-shrunk/out-dead window-shrunk/host-unreachable window-shrunk/admin-prohibited window-shrunk/arp-gone window-shrunk/nat-forgot window-shrunk/queue-full window-shrunk/rebooted window-shrunk/killed window-shrunk/closed window-shrunk/half-close-then-cut window-shrunk/reset window-shrunk/frozen window-shrunk/lossy-10 window-shrunk/lossy-30 window-shrunk/none reading-paused/black-hole reading-paused/link-down reading-paused/in-dead reading-paused/out-dead reading-paused/host-unreachable reading-paused/admin-prohibited reading-paused/arp-gone reading-paused/nat-forgot reading-paused/queue-full reading-paused/rebooted reading-paused/killed reading-paused/closed reading-paused/half-close-then-cut reading-paused/reset reading-paused/frozen reading-paused/lossy-10 reading-paused/lossy-30 reading-paused/none reading-slowly/black-hole reading-slowly/link-down reading-slowly/in-dead reading-slowly/out-dead reading-slowly/host-unreachable reading-slowly/admin-prohibited reading-slowly/arp-gone reading-slowly/nat-forgot reading-slowly/queue-full reading-slowly/rebooted reading-slowly/killed reading-slowly/closed reading-slowly/half-close-then-cut reading-slowly/reset reading-slowly/frozen reading-slowly/lossy-10 reading-slowly/lossy-30 reading-slowly/none half-closed/black-hole half-closed/link-down half-closed/in-dead half-closed/out-dead half-closed/host-unreachable half-closed/admin-prohibited half-closed/arp-gone half-closed/nat-forgot half-closed/queue-full half-closed/rebooted half-closed/killed half-closed/closed half-closed/half-close-then-cut half-closed/reset half-closed/frozen half-closed/lossy-10 half-closed/lossy-30 half-closed/none accept-queue/black-hole accept-queue/link-down accept-queue/in-dead accept-queue/out-dead accept-queue/host-unreachable accept-queue/admin-prohibited accept-queue/arp-gone accept-queue/nat-forgot accept-queue/queue-full accept-queue/rebooted accept-queue/killed accept-queue/closed accept-queue/half-close-then-cut accept-queue/reset accept-queue/frozen accept-queue/lossy-10 accept-queue/lossy-30 accept-queue/none'
complete -c stillthere -n '__stillthere_lab compare' -F

complete -c stillthere -n '__stillthere_in plan' -l deadline -x -d 'sets the next three together (default 35s)'
complete -c stillthere -n '__stillthere_in plan' -l idle -x -d 'silence before the first probe'
complete -c stillthere -n '__stillthere_in plan' -l interval -x -d 'from one probe to the next'
complete -c stillthere -n '__stillthere_in plan' -l count -x -d 'unanswered probes until a peer is dropped'
complete -c stillthere -n '__stillthere_in plan' -l user-timeout -x -a 'auto sliding off' -d 'as for `serve`'
complete -c stillthere -n '__stillthere_in plan' -l false-drops -x -d 'or: find the shortest for at most this, 1/year'
complete -c stillthere -n '__stillthere_in plan' -l peers -x -d 'number of peers (default 1)'
complete -c stillthere -n '__stillthere_in plan' -l loss -x -d 'packet loss in each direction (default 1%)'
complete -c stillthere -n '__stillthere_in plan' -l rtt -x -d 'the round trip (default 100ms)'
complete -c stillthere -n '__stillthere_in plan' -l burst -x -d 'mean length of a loss burst (default 1s)'
complete -c stillthere -n '__stillthere_in plan' -l burst-loss -x -d 'loss within a burst (default 100%)'
complete -c stillthere -n '__stillthere_in plan' -l behind -x -a '(__stillthere_some aws-alb aws-clb azure-lb azure-nat mobile digitalocean-nat oracle-lb aws-nlb aws-gwlb aws-nat aws-firewall aws-nitro6 oracle-nlb cloudflare gcp-vpc nginx cloudflare-origin ipvs kube-proxy gcp-nat fortiadc kaspersky cisco-asa envoy rfc5382 openwrt netfilter)' -d 'a middlebox, such as azure-lb; `?` lists them'
complete -c stillthere -n '__stillthere_in plan' -l nat-timeout -x -d 'or: a middlebox that forgets after this long'
complete -c stillthere -n '__stillthere_in plan' -l battery -d 'peers run on batteries'
complete -c stillthere -n '__stillthere_in plan' -l heartbeat -x -d 'silence before a ping (default: idle)'
complete -c stillthere -n '__stillthere_in plan' -l heartbeat-timeout -x -d 'time to answer it (default: the rest)'
complete -c stillthere -n '__stillthere_in plan' -l json -d 'the answer as JSON'
complete -c stillthere -n '__stillthere_in plan' -l svg -r -F -d 'a figure: false drops and traffic by deadline'
