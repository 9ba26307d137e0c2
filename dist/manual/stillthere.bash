# Completion of stillthere for bash. Made from the tables of options by `make manual`: changes to this file are lost.

_stillthere() {
    local -a words=() matches=()
    local cur command option='' value='' joined='' glued='' token last strip line i
    local choices='' offered='' several='' kind='' IFS=$' \t\n'
    COMPREPLY=()

    # `=` and `:` part words for bash, and do not for the program.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        token=${COMP_WORDS[i]}
        if [[ -z $token && $i == "$COMP_CWORD" && ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]]; then
            words+=('')
        elif ((${#words[@]})) && [[ $token =~ ^[:=]+$ ]]; then
            words[-1]+=$token
            glued=yes
            continue
        elif [[ $glued ]]; then
            words[-1]+=$token
        else
            words+=("$token")
        fi
        glued=
    done
    cur=${words[-1]}
    # Bash replaces this much of it; an answer is without what comes before.
    last=${COMP_WORDS[COMP_CWORD]}
    [[ $last =~ ^[:=]+$ ]] && last=
    strip=${cur%"$last"}

    if ((${#words[@]} == 1)); then
        choices='serve who drop upgrade top load lab plan help --help --version' kind=words
    fi
    command=${words[0]}

    # The options of the command, and which of them take a value.
    local takes=''
    ((${#words[@]} > 1)) && case $command in
        serve)
            offered='--service --max-connections --grace --log --admin --admin-token-file --events --config --check --profile --log-format --keep-peers-over-restart --drain --user --sandbox --backlog --reuse-port --deadline --idle --interval --count --user-timeout --heartbeat --heartbeat-timeout --expect --max-per-address --max-output --max-memory --stalled --when-full --help --version'
            takes=' --service --max-connections --grace --log --admin --admin-token-file --events --config --profile --log-format --drain --user --backlog --deadline --idle --interval --count --user-timeout --heartbeat --heartbeat-timeout --expect --max-per-address --max-output --max-memory --stalled --when-full '
            ;;
        who)
            offered='--admin --admin-token-file --patience --sort --from --json --quiet --help --version'
            takes=' --admin --admin-token-file --patience --sort --from '
            ;;
        drop)
            offered='--admin --admin-token-file --patience --help --version'
            takes=' --admin --admin-token-file --patience '
            ;;
        upgrade)
            offered='--admin --admin-token-file --patience --help --version'
            takes=' --admin --admin-token-file --patience '
            ;;
        top)
            offered='--admin --admin-token-file --patience --help --version'
            takes=' --admin --admin-token-file --patience '
            ;;
        load)
            offered='--connections --connect-rate --patience --source --speak --active --size --rate --grace --time --fail-if --pid --json --html --help --version'
            takes=' --connections --connect-rate --patience --source --speak --active --size --rate --grace --time --fail-if --pid --json --html '
            ;;
        lab)
            offered='--preset --server --file --name --start-patience --speak --ask --answer --banner --ipv6 --deadline --idle --interval --count --user-timeout --cap --keep --pcap --svg --jobs --at-once --json --html --markdown --help --version'
            takes=' --preset --server --file --name --start-patience --speak --ask --answer --deadline --idle --interval --count --user-timeout --cap --keep --pcap --svg --jobs --at-once --json --html --markdown '
            ;;
        plan)
            offered='--deadline --idle --interval --count --user-timeout --false-drops --peers --loss --rtt --burst --burst-loss --behind --nat-timeout --battery --heartbeat --heartbeat-timeout --json --svg --help --version'
            takes=' --deadline --idle --interval --count --user-timeout --false-drops --peers --loss --rtt --burst --burst-loss --behind --nat-timeout --heartbeat --heartbeat-timeout --svg '
            ;;
    esac

    # The option whose value this is, if it is one.
    if [[ $offered ]]; then
        if [[ $cur == --*=* ]]; then
            option=${cur%%=*} value=${cur#*=} joined=${cur%%=*}=
        elif ((${#words[@]} > 2)) && [[ $takes == *" ${words[-2]} "* ]]; then
            option=${words[-2]} value=$cur
        elif [[ $cur == -* ]]; then
            choices=$offered kind=words
        else
            option=words value=$cur
        fi
    fi

    case $command:$option in
        serve:--service) choices='echo discard heartbeat' kind=words ;;
        serve:--log) choices='off error warn info debug trace' kind=words ;;
        serve:--admin) offered='127.0.0.1:7070 unix:' kind=places ;;
        serve:--admin-token-file) kind=files ;;
        serve:--events) offered='- tcp: unix:' kind=places several=yes ;;
        serve:--config) kind=files ;;
        serve:--check) choices='yes no' kind=words ;;
        serve:--profile) choices='tiny' kind=words ;;
        serve:--log-format) choices='text json' kind=words ;;
        serve:--keep-peers-over-restart) choices='yes no' kind=words ;;
        serve:--user) kind=users ;;
        serve:--sandbox) choices='yes no' kind=words ;;
        serve:--reuse-port) choices='yes no' kind=words ;;
        serve:--user-timeout) choices='auto sliding off' kind=words ;;
        serve:--when-full) choices='wait refuse evict-oldest-idle' kind=words ;;
        who:--admin) offered='127.0.0.1:7070 unix:' kind=places ;;
        who:--admin-token-file) kind=files ;;
        who:--sort) choices='silence age bytes' kind=words ;;
        who:--json) choices='yes no' kind=words ;;
        who:--quiet) choices='yes no' kind=words ;;
        who:words) kind=ids ;;
        drop:--admin) offered='127.0.0.1:7070 unix:' kind=places ;;
        drop:--admin-token-file) kind=files ;;
        drop:words) kind=ids ;;
        upgrade:--admin) offered='127.0.0.1:7070 unix:' kind=places ;;
        upgrade:--admin-token-file) kind=files ;;
        top:--admin) offered='127.0.0.1:7070 unix:' kind=places ;;
        top:--admin-token-file) kind=files ;;
        load:--speak) choices='echo redis mqtt memcached none' kind=words ;;
        load:--pid) kind=processes ;;
        load:--json) kind=files ;;
        load:--html) kind=files ;;
        lab:--preset) choices='stillthere textbook redis mosquitto haproxy haproxy-tcp-ut nginx socat socat-user-timeout memcached all' kind=some ;;
        lab:--server) kind=commands ;;
        lab:--speak) choices='echo redis mqtt memcached http postgres none' kind=words ;;
        lab:--banner) choices='yes no' kind=words ;;
        lab:--ipv6) choices='yes no' kind=words ;;
        lab:--user-timeout) choices='auto sliding off' kind=words ;;
        lab:--pcap) kind=files ;;
        lab:--svg) kind=files ;;
        lab:--json) kind=files ;;
        lab:--html) kind=files ;;
        lab:--markdown) kind=files ;;
        lab:words)
            kind=words
            case ${words[1]}:${#words[@]} in
                *:2) choices='run matrix list compare' ;;
                compare:*) kind=files ;;
                run:* | matrix:*) choices='idle/black-hole idle/link-down idle/in-dead idle/out-dead idle/host-unreachable idle/admin-prohibited idle/arp-gone idle/nat-forgot idle/queue-full idle/rebooted idle/killed idle/closed idle/half-close-then-cut idle/reset idle/frozen idle/lossy-10 idle/lossy-30 idle/none exchanged/black-hole exchanged/link-down exchanged/in-dead exchanged/out-dead exchanged/host-unreachable exchanged/admin-prohibited exchanged/arp-gone exchanged/nat-forgot exchanged/queue-full exchanged/rebooted exchanged/killed exchanged/closed exchanged/half-close-then-cut exchanged/reset exchanged/frozen exchanged/lossy-10 exchanged/lossy-30 exchanged/none in-flight/black-hole in-flight/link-down in-flight/in-dead in-flight/out-dead in-flight/host-unreachable in-flight/admin-prohibited in-flight/arp-gone in-flight/nat-forgot in-flight/queue-full in-flight/rebooted in-flight/killed in-flight/closed in-flight/half-close-then-cut in-flight/reset in-flight/frozen in-flight/lossy-10 in-flight/lossy-30 in-flight/none both-in-flight/black-hole both-in-flight/link-down both-in-flight/in-dead both-in-flight/out-dead both-in-flight/host-unreachable both-in-flight/admin-prohibited both-in-flight/arp-gone both-in-flight/nat-forgot both-in-flight/queue-full both-in-flight/rebooted both-in-flight/killed both-in-flight/closed both-in-flight/half-close-then-cut both-in-flight/reset both-in-flight/frozen both-in-flight/lossy-10 both-in-flight/lossy-30 both-in-flight/none window-shut/black-hole window-shut/link-down window-shut/in-dead window-shut/out-dead window-shut/host-unreachable window-shut/admin-prohibited window-shut/arp-gone window-shut/nat-forgot window-shut/queue-full window-shut/rebooted window-shut/killed window-shut/closed window-shut/half-close-then-cut window-shut/reset window-shut/frozen window-shut/lossy-10 window-shut/lossy-30 window-shut/none window-shrunk/black-hole window-shrunk/link-down window-shrunk/in-dead window-shrunk/out-dead window-shrunk/host-unreachable window-shrunk/admin-prohibited window-shrunk/arp-gone window-shrunk/nat-forgot window-shrunk/queue-full window-shrunk/rebooted window-shrunk/killed window-shrunk/closed window-shrunk/half-close-then-cut window-shrunk/reset window-shrunk/frozen window-shrunk/lossy-10 window-shrunk/lossy-30 window-shrunk/none reading-paused/black-hole reading-paused/link-down reading-paused/in-dead reading-paused/out-dead reading-paused/host-unreachable reading-paused/admin-prohibited reading-paused/arp-gone reading-paused/nat-forgot reading-paused/queue-full reading-paused/rebooted reading-paused/killed reading-paused/closed reading-paused/half-close-then-cut reading-paused/reset reading-paused/frozen reading-paused/lossy-10 reading-paused/lossy-30 reading-paused/none reading-slowly/black-hole reading-slowly/link-down reading-slowly/in-dead reading-slowly/out-dead reading-slowly/host-unreachable reading-slowly/admin-prohibited reading-slowly/arp-gone reading-slowly/nat-forgot reading-slowly/queue-full reading-slowly/rebooted reading-slowly/killed reading-slowly/closed reading-slowly/half-close-then-cut reading-slowly/reset reading-slowly/frozen reading-slowly/lossy-10 reading-slowly/lossy-30 reading-slowly/none half-closed/black-hole half-closed/link-down half-closed/in-dead half-closed/out-dead half-closed/host-unreachable half-closed/admin-prohibited half-closed/arp-gone half-closed/nat-forgot half-closed/queue-full half-closed/rebooted half-closed/killed half-closed/closed half-closed/half-close-then-cut half-closed/reset half-closed/frozen half-closed/lossy-10 half-closed/lossy-30 half-closed/none accept-queue/black-hole accept-queue/link-down accept-queue/in-dead accept-queue/out-dead accept-queue/host-unreachable accept-queue/admin-prohibited accept-queue/arp-gone accept-queue/nat-forgot accept-queue/queue-full accept-queue/rebooted accept-queue/killed accept-queue/closed accept-queue/half-close-then-cut accept-queue/reset accept-queue/frozen accept-queue/lossy-10 accept-queue/lossy-30 accept-queue/none' ;;
            esac
            ;;
        plan:--user-timeout) choices='auto sliding off' kind=words ;;
        plan:--behind) choices='aws-alb aws-clb azure-lb azure-nat mobile digitalocean-nat oracle-lb aws-nlb aws-gwlb aws-nat aws-firewall aws-nitro6 oracle-nlb cloudflare gcp-vpc nginx cloudflare-origin ipvs kube-proxy gcp-nat fortiadc kaspersky cisco-asa envoy rfc5382 openwrt netfilter' kind=some ;;
        plan:--battery) choices='yes no' kind=words ;;
        plan:--json) choices='yes no' kind=words ;;
        plan:--svg) kind=files ;;
    esac

    case $kind in
        '') ;;
        files | places)
            local before=$joined
            if [[ $kind == places ]]; then
                case $value in
                    unix:*) before=${joined}unix: value=${value#unix:} ;;
                    *) choices=$offered ;;
                esac
            fi
            if [[ $kind == files || $before == *unix: || $several ]]; then
                while IFS= read -r line; do
                    [[ $line ]] && matches+=("$before$line")
                done < <(compgen -f -- "$value")
                # Only while bash completes: then it quotes names, and adds a slash to directories.
                compopt -o filenames 2>/dev/null
            fi
            ;;
        commands) while IFS= read -r line; do matches+=("$joined$line"); done < <(compgen -c -- "$value") ;;
        users) while IFS= read -r line; do matches+=("$joined$line"); done < <(compgen -u -- "$value") ;;
        processes)
            for line in /proc/[0-9]*; do
                [[ ${line#/proc/} == "$value"* ]] && matches+=("$joined${line#/proc/}")
            done
            ;;
        some)
            # After the last comma.
            local listed=''
            [[ $value == *,* ]] && listed=${value%,*},
            for line in $choices; do
                [[ $listed$line == "$value"* ]] && matches+=("$joined$listed$line")
            done
            choices=
            compopt -o nospace 2>/dev/null
            ;;
        ids) choices=$(_stillthere_ids "${words[@]}") ;;
        words) ;;
    esac
    for line in $choices; do
        [[ $joined$line == "$cur"* ]] && matches+=("$joined$line")
        [[ $line == *: && $joined$line == "$cur"* ]] && compopt -o nospace 2>/dev/null
    done
    for line in "${matches[@]}"; do
        COMPREPLY+=("${line#"$strip"}")
    done
}

# The ids of the peers of the server that the line names, or of the one on this machine.
_stillthere_ids() {
    local -a asked=()
    local i
    for ((i = 1; i < $#; i++)); do
        case ${!i} in
            --admin=* | --admin-token-file=*) asked+=("${!i}") ;;
            --admin | --admin-token-file)
                asked+=("${!i}")
                ((i++))
                asked+=("${!i}")
                ;;
        esac
    done
    "${COMP_WORDS[0]}" who --patience 500ms "${asked[@]}" 2>/dev/null | while read -r id rest; do
        [[ $id == *-* ]] && printf '%s\n' "$id"
    done
}

complete -F _stillthere stillthere
