using System.Buffers.Binary;
using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>Weights in llama2.c's first layout (its export.py calls it version 0): seven int32, then float32 tensors
/// without a name, every layer's of a kind together.
/// Matrices are [outputs, inputs]. A negative vocabulary says that the classifier is a tensor of its own, not the
/// embedding again.</summary>
sealed class Llama2Weights : IDisposable
{
    const int HeaderBytes = 28, MagicOfLaterLayouts = 0x616b3432, MaxExtent = 1 << 24, MaxLayers = 4096;
    readonly List<Matrix> all = [];
    readonly MappedFile file;
    long at = HeaderBytes;

    public int Width { get; }           // d
    public int Hidden { get; }
    public int Layers { get; }
    public int Heads { get; }
    public int KeyHeads { get; }        // each serves Heads / KeyHeads heads of queries
    public int Vocabulary { get; }
    public int Context { get; }
    public int HeadWidth => Width / Heads;
    public int KeyWidth => HeadWidth * KeyHeads;

    public Matrix Embedding { get; }            // [vocabulary, d]
    public Matrix AttentionNorm { get; }        // [layers, d]
    public Matrix Query { get; }                // [layers · d, d]
    public Matrix Key { get; }                  // [layers · key width, d]
    public Matrix Value { get; }
    public Matrix Output { get; }               // [layers · d, d]
    public Matrix MlpNorm { get; }              // [layers, d]
    public Matrix Gate { get; }                 // [layers · hidden, d]: w1
    public Matrix Down { get; }                 // [layers · d, hidden]: w2
    public Matrix Up { get; }                   // [layers · hidden, d]: w3
    public Matrix FinalNorm { get; }            // [1, d]
    public Matrix Cosine { get; }               // [context, head width / 2]
    public Matrix Sine { get; }
    public Matrix Classifier { get; }           // [vocabulary, d]

    /// <exception cref="SaeException">The file is missing, or not what its header says.</exception>
    public Llama2Weights(string path) : this(new MappedFile(path)) { }

    /// <param name="file">Disposed when its numbers are copied.</param>
    internal Llama2Weights(MappedFile file)
    {
        this.file = file;
        try
        {
            var header = Header();
            (Width, Hidden, Layers, Heads, KeyHeads, Context) =
                (header[0], header[1], header[2], header[3], header[4], header[6]);
            var shared = header[5] > 0;
            Vocabulary = Math.Abs(header[5]);
            Check(shared);
            Embedding = Next(Vocabulary, Width);
            AttentionNorm = Next(Layers, Width);
            (Query, Key, Value, Output) = (Next((long)Layers * Width, Width), Next((long)Layers * KeyWidth, Width),
                Next((long)Layers * KeyWidth, Width), Next((long)Layers * Width, Width));
            MlpNorm = Next(Layers, Width);
            (Gate, Down, Up) = (Next((long)Layers * Hidden, Width), Next((long)Layers * Width, Hidden),
                Next((long)Layers * Hidden, Width));
            FinalNorm = Next(1, Width);
            (Cosine, Sine) = (Next(Context, HeadWidth / 2), Next(Context, HeadWidth / 2));
            Classifier = shared ? Embedding : Next(Vocabulary, Width);
            CheckRotations();
        }
        catch
        {
            Dispose();
            throw;
        }
        finally { file.Dispose(); }
    }

    SaeException Bad(string why) =>
        new($"{file.Path} is no model in llama2.c's layout: {why}", kind: SaeErrorKind.Files);

    int[] Header()
    {
        if (file.Length < HeaderBytes) throw Bad($"it has {file.Length} bytes, the header alone {HeaderBytes}");
        var header = MemoryMarshal.Cast<byte, int>(file.Slice(0, HeaderBytes)).ToArray();
        if (!BitConverter.IsLittleEndian) BinaryPrimitives.ReverseEndianness(header, header);
        if (header[0] == MagicOfLaterLayouts)
            throw Bad($"it is of version {header[1]}; write it again with llama2.c's export.py --version 0");
        string[] names = ["width", "hidden width", "layers", "heads", "key heads", "vocabulary", "context"];
        for (var i = 0; i < header.Length; i++)
            if (Math.Abs((long)header[i]) is < 1 or > MaxExtent || (header[i] < 0 && i != 5)
                || (i == 2 && header[i] > MaxLayers))
                throw Bad($"its header claims {header[i]} for its {names[i]}");
        return header;
    }

    /// <summary>Before anything is made of the size that the header claims.</summary>
    void Check(bool shared)
    {
        if (Width % Heads != 0 || HeadWidth % 2 != 0)
            throw Bad($"its width of {Width} does not divide into {Heads} heads of an even width");
        if (Heads % KeyHeads != 0) throw Bad($"{KeyHeads} key heads cannot serve {Heads} heads");
        Int128 d = Width, layers = Layers, matrices = 2 * d * d + 2 * d * KeyWidth + 3 * d * Hidden;
        var numbers = Vocabulary * d * (shared ? 1 : 2) + layers * (2 * d + matrices) + d + (Int128)Context * HeadWidth;
        if (4 * numbers + HeaderBytes != file.Length)
            throw Bad($"its header claims {4 * numbers + HeaderBytes} bytes, it has {file.Length}; it is truncated or "
                + "has a tail");
    }

    Matrix Next(long rows, int columns)
    {
        var matrix = new Matrix(rows, columns);
        all.Add(matrix);
        for (long r = 0; r < rows; r++, at += columns * sizeof(float))
        {
            var bytes = MemoryMarshal.AsBytes(matrix[r]);
            file.Read(at, bytes);
            if (!Finite.All(bytes, InputType.Float32))
                throw Bad($"NaN or infinity among its weights, in the row at byte {at}");
        }
        return matrix;
    }

    /// <summary>What should be cosines and sines shows whether everything before them has the size that the header
    /// says.</summary>
    void CheckRotations()
    {
        for (var t = 0; t < Context; t++)
            for (var i = 0; i < HeadWidth / 2; i++)
                if (!(Math.Abs(1 - Math.Sqrt((double)Cosine[t][i] * Cosine[t][i]
                    + (double)Sine[t][i] * Sine[t][i])) < 1e-3))
                    throw Bad($"its rotation of place {t}, pair {i} is none; the header does not fit the tensors");
    }

    public void Dispose()
    {
        foreach (var matrix in all) matrix.Dispose();
    }
}
