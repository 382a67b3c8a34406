using Gongzhi.Core.Parties;

namespace Gongzhi.Node.Tokens;

/// <summary>Makes a party for a first client or administrator and answers its id.</summary>
public delegate Task<string> PartyProvision(NewParty party, CancellationToken cancel);

/// <param name="Name">Shown to people.</param>
/// <param name="Kind"><c>client</c> or <c>person</c>.</param>
/// <param name="Roles">Roles it holds, from <see cref="Roles"/>.</param>
public sealed record NewParty(string Name, string Kind, IReadOnlyList<string> Roles);
