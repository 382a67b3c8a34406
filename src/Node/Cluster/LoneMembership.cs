using System.Globalization;
using Orleans.Runtime;

namespace Gongzhi.Node.Cluster;

/// <summary>The members of a cluster that is this one silo, in memory, by the same rules as <see cref="PostgresMembership"/>: nothing is written, and nobody else can join.</summary>
internal sealed class LoneMembership : IMembershipTable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<SiloAddress, (MembershipEntry Entry, int Etag)> _silos = [];
    private int _version;

    public Task InitializeMembershipTable(bool tryInitTableVersion) => Task.CompletedTask;

    public Task DeleteMembershipTableEntries(string clusterId)
    {
        lock (_lock)
        {
            _silos.Clear();
            _version++;
        }
        return Task.CompletedTask;
    }

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate)
    {
        lock (_lock)
        {
            foreach (var (address, (entry, _)) in _silos.ToList())
            {
                if (entry.Status == SiloStatus.Dead && entry.IAmAliveTime < beforeDate.UtcDateTime && entry.StartTime < beforeDate.UtcDateTime)
                    _silos.Remove(address);
            }
        }
        return Task.CompletedTask;
    }

    public Task<MembershipTableData> ReadRow(SiloAddress key) => Task.FromResult(Read(address => address.Equals(key)));

    public Task<MembershipTableData> ReadAll() => Task.FromResult(Read(_ => true));

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion)
    {
        lock (_lock)
            return Task.FromResult(!_silos.ContainsKey(entry.SiloAddress) && TryKeep(entry, tableVersion));
    }

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion)
    {
        lock (_lock)
            return Task.FromResult(_silos.TryGetValue(entry.SiloAddress, out var kept) && Text(kept.Etag) == etag && TryKeep(entry, tableVersion));
    }

    public Task UpdateIAmAlive(MembershipEntry entry)
    {
        lock (_lock)
        {
            if (_silos.TryGetValue(entry.SiloAddress, out var kept))
                kept.Entry.IAmAliveTime = entry.IAmAliveTime;
        }
        return Task.CompletedTask;
    }

    private bool TryKeep(MembershipEntry entry, TableVersion version)
    {
        if (version.VersionEtag != Text(_version) || version.Version <= _version)
            return false;
        _version = version.Version;
        _silos[entry.SiloAddress] = (Copy(entry), _version);
        return true;
    }

    private MembershipTableData Read(Func<SiloAddress, bool> wanted)
    {
        lock (_lock)
        {
            return new MembershipTableData(
                [.. _silos.Where(s => wanted(s.Key)).Select(s => Tuple.Create(Copy(s.Value.Entry), Text(s.Value.Etag)))], new TableVersion(_version, Text(_version)));
        }
    }

    // Whoever reads may change what was read.
    private static MembershipEntry Copy(MembershipEntry entry) => new()
    {
        SiloAddress = entry.SiloAddress,
        Status = entry.Status,
        SuspectTimes = [.. entry.SuspectTimes ?? []],
        ProxyPort = entry.ProxyPort,
        HostName = entry.HostName,
        SiloName = entry.SiloName,
        StartTime = entry.StartTime,
        IAmAliveTime = entry.IAmAliveTime,
    };

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
