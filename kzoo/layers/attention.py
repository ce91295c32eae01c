"""Attention with several heads: self and cross, grouped queries, local windows, positions, a cache for decoding.

Vaswani et al. (2017), Attention Is All You Need, arXiv:1706.03762. The computation itself is `kzoo.ops`'s.

Shapes: b batch, t queries, s keys, d dim, n heads of queries, m heads of keys and values, h a head's length.
"""

import keras
from keras import ops

from kzoo import backend
from kzoo.layers.arguments import check_rank, check_rate, check_whole
from kzoo.layers.initial_values import fresh, side_by_side
from kzoo.ops import combine_masks, dot_product_attention, local_attention, local_mask


@keras.saving.register_keras_serializable("kzoo")
class MultiHeadAttention(keras.Layer):
    """Attention of a sequence to itself or to another: queries `(b, t, d)` to the same shape.

    `attention(x)` attends to itself, with one product for queries, keys and values; `attention(x, memory)` attends to
    another sequence. Which of them a layer does is settled when it is built. Masked keys are not seen; a query that may
    see no key gets the last bias, and no gradient. Where the input is masked, so is the output, and what stands at
    masked queries means nothing.

    Decoding goes on from keys and values that are kept:

    ```python
    cache = attention.empty_cache(batch_size, max_length)
    y, cache = attention(prompt, cache=cache, cache_index=0)
    y, cache = attention(token, cache=cache, cache_index=prompt_length)
    ```

    A cache that was handed in is used up: go on with the one that comes out. With a number as index, attention goes
    over what is filled; with a tensor, as a step needs that is compiled once, over the whole cache. Prompts of
    different lengths are padded on the left, and `key_mask` `(b, max_length)` says where. A cross-attention reads
    `cache=attention.keys_and_values(memory)`, made once.

    The weights of a self-attention are `query_key_value`, whose columns are those of the queries' heads, then the keys'
    and the values', and `projection`; a cross-attention has `query`, `key` and `value` apart.

    Args:
        num_heads: n.
        head_dim: h; by default d / n.
        num_key_value_heads: m, which divides n; by default n. Each head of keys serves n / m heads of queries.
        causal: whether a place sees only those before it, and itself.
        window: a place sees only those less than so many places away, in memory that grows with the length alone
            where neither weights, nor an `attention_mask`, nor a position with a bias ask for the whole matrix.
        position: a layer of `kzoo.layers.positions`, say `RotaryPosition()`.
        scale: of the scores; by default `h**-0.5`, or the position's.
        use_bias: of the linear maps.
        dropout: rate at which weights are dropped in training.
        kernel_initializer: of the linear maps, each by itself.
        output_initializer: of the last linear map; by default `kernel_initializer`.
        seed: of the dropout.
    """

    def __init__(
        self,
        num_heads,
        head_dim=None,
        *,
        num_key_value_heads=None,
        causal=False,
        window=None,
        position=None,
        scale=None,
        use_bias=True,
        dropout=0.0,
        kernel_initializer="glorot_uniform",
        output_initializer=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        given = {"head_dim": head_dim, "num_key_value_heads": num_key_value_heads, "window": window}
        check_whole(num_heads=num_heads, **{name: size for name, size in given.items() if size is not None})
        check_rate(dropout=dropout)
        if num_key_value_heads is not None and num_heads % num_key_value_heads:
            raise ValueError(
                "num_key_value_heads must divide num_heads. "
                f"Received: num_heads={num_heads}, num_key_value_heads={num_key_value_heads}"
            )
        if position is not None and not any(hasattr(position, name) for name in ("rotate", "bias", "values")):
            raise ValueError(
                "position must be a layer such as RotaryPosition(), with a method rotate, bias or values. "
                f"Received: position={position!r}"
            )
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.num_key_value_heads = num_key_value_heads
        self.causal = causal
        self.window = window
        self.position = position
        self.scale = scale
        self.use_bias = use_bias
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None
        self.supports_masking = True

    def build(self, query_shape, key_shape=None, value_shape=None):
        check_rank(query_shape, 3, "a sequence of shape (b, t, d) with a known d")
        n, m, d = self.num_heads, self.num_key_value_heads or self.num_heads, query_shape[-1]
        if self.head_dim is None and d % n:
            raise ValueError(f"give head_dim, or num_heads that divide d. Received: d={d}, num_heads={n}")
        self._sizes = n, m, self.head_dim or d // n
        h = self._sizes[-1]
        self.self_attention = key_shape is None
        if self.self_attention:
            draw = side_by_side(self.kernel_initializer, (n * h, m * h, m * h))
            self.query_key_value = self._linear("query_key_value", d, (n + 2 * m) * h, draw)
        else:
            self._check_cross(key_shape)
            draws = [fresh(self.kernel_initializer, i) for i in range(3)]
            self.query = self._linear("query", d, n * h, draws[0])
            self.key = self._linear("key", key_shape[-1], m * h, draws[1])
            self.value = self._linear("value", (value_shape or key_shape)[-1], m * h, draws[2])
        draw = fresh(self.output_initializer or self.kernel_initializer, 3)
        self.projection = self._linear("projection", n * h, d, draw)
        if isinstance(self.position, keras.Layer) and not self.position.built:
            self.position.build((*query_shape[:2], n, h))
        if self.scale is None:
            own = getattr(self.position, "scale", None)
            self._scale = own(h) if own else h**-0.5
        else:
            self._scale = self.scale
        self.built = True

    def _check_cross(self, key_shape):
        check_rank(key_shape, 3, "a sequence of keys of shape (b, s, d) with a known d")
        if self.causal or self.window or hasattr(self.position, "rotate"):
            raise ValueError(
                "attention to another sequence knows no causal order, window or rotation. "
                f"Received: causal={self.causal}, window={self.window}, position={self.position}"
            )

    def _linear(self, name, inputs, outputs, initializer):
        layer = keras.layers.Dense(
            outputs,
            use_bias=self.use_bias,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, inputs))
        return layer

    def call(
        self,
        query,
        key=None,
        value=None,
        mask=None,
        query_mask=None,
        key_mask=None,
        attention_mask=None,
        cache=None,
        cache_index=None,
        return_weights=False,
        training=None,
    ):
        """Attends.

        Args:
            query: `(b, t, d)`.
            key: another sequence `(b, s, e)`, if the layer is a cross-attention.
            value: what that says, `(b, s, f)`; by default `key`.
            mask: `(b, t)`, of a sequence that attends to itself; Keras gives it.
            query_mask: `(b, t)`, the same where there are more arguments.
            key_mask: `(b, s)`, which keys may be seen; `(b, max_length)` with a cache.
            attention_mask: `(t, s)`, `(b, t, s)` or `(b, n, t, s)`, which keys each query may see.
            cache: keys and values, each `(b, max_length, m, h)`.
            cache_index: the place of the first query in the cache.
            return_weights: whether to give the weights too, `(b, n, t, s)`.
            training: whether weights are dropped.

        Returns:
            The output; with `return_weights` the weights after it, and with `cache` the cache after these.
        """
        self._check_call(value if key is None else key, cache, cache_index)
        own_mask = query_mask if mask is None else mask
        if not self.self_attention:
            queries = self._heads(self.query(query), self.num_heads)
            keys, values = self.keys_and_values(key, value) if cache is None else cache
            offset = 0
        else:
            queries, keys, values = self._projected(query)
            offset = 0 if cache_index is None else cache_index
            if hasattr(self.position, "rotate"):
                queries, keys = self.position.rotate(queries, keys, offset)
            if cache is not None:
                if key_mask is None and own_mask is not None:
                    raise ValueError(
                        "the input is masked, which says nothing of the cache: give key_mask, (b, max_length). "
                        "Received: key_mask=None"
                    )
                cache, keys, values, key_mask = self._written(cache, keys, values, key_mask, offset)
            elif key_mask is None:
                key_mask = own_mask
        output, weights = self._attend(
            queries, keys, values, key_mask, attention_mask, offset, cache, return_weights, training
        )
        n, _, h = self._sizes
        output = self.projection(ops.reshape(output, (-1, ops.shape(query)[1], n * h)))
        results = (output, *([weights] if return_weights else []), *([] if cache is None else [cache]))
        return results if len(results) > 1 else output

    def keys_and_values(self, key, value=None):
        """The heads of keys and values of another sequence, `(b, s, m, h)` each: a cross-attention's cache."""
        m = self._sizes[1]
        return self._heads(self.key(key), m), self._heads(self.value(key if value is None else value), m)

    def empty_cache(self, batch_size, max_length):
        """Keys and values of zeros, `(b, max_length, m, h)` each."""
        if not self.built:
            raise ValueError(f"build the layer before asking for its cache. Received: layer={self.name!r}")
        _, m, h = self._sizes
        return tuple(ops.zeros((batch_size, max_length, m, h), self.compute_dtype) for _ in range(2))

    def _projected(self, x):
        """Queries, keys and values of a sequence that attends to itself."""
        n, m, _ = self._sizes
        x = self._heads(self.query_key_value(x), n + 2 * m)
        return ops.split(x, 3, axis=2) if n == m else (x[:, :, :n], x[:, :, n : n + m], x[:, :, n + m :])

    def _heads(self, x, count):
        return ops.reshape(x, (-1, ops.shape(x)[1], count, self._sizes[-1]))

    def _written(self, cache, keys, values, key_mask, index):
        """The cache with new keys and values, and these and their mask as far as it is known to be filled."""
        end, length = index + ops.shape(keys)[1], cache[0].shape[1]
        known = isinstance(end, int)
        if known and length is not None and end > length:
            raise ValueError(
                f"the cache has {length} places: make it larger, or give it less. "
                f"Received: cache_index={index}, and {keys.shape[1]} queries"
            )
        cache = tuple(backend.written_at(*pair, index) for pair in zip(cache, (keys, values)))
        if not known:
            return cache, *cache, key_mask
        return cache, *(x[:, :end] for x in cache), None if key_mask is None else key_mask[:, :end]

    def _attend(self, query, key, value, key_mask, attention_mask, offset, cache, return_weights, training):
        """Means of values `(b, t, n, h)`, and the weights or `None`."""
        options = {"scale": self._scale}
        if self.dropout and training:
            options |= {"dropout": self.dropout, "seed": self.seed_generator}
        bias, added = (getattr(self.position, name, None) for name in ("bias", "values"))
        whole = return_weights or bias or added or attention_mask is not None or cache is not None
        if self.window and not whole:
            options |= {"causal": self.causal, "key_mask": key_mask}
            return local_attention(query, key, value, self.window, **options), None
        mask = combine_masks(attention_mask, None if key_mask is None else ops.expand_dims(key_mask, 1))
        if self.window:
            near = local_mask(ops.shape(query)[1], self.window, ops.shape(key)[1], offset)
            mask = combine_masks(mask, near)
        if bias:
            options["bias"] = bias(query, key, offset, self._scale)
        if not (return_weights or added):
            options |= {"mask": mask, "causal": self.causal, "offset": offset}
            return dot_product_attention(query, key, value, **options), None
        output, weights = dot_product_attention(
            query, key, value, mask=mask, causal=self.causal, offset=offset, return_weights=True, **options
        )
        return output + added(weights, offset) if added else output, weights

    def _check_call(self, key, cache, cache_index):
        if self.self_attention:
            if key is not None:
                problem = "this layer was built to attend to its own input: make another for another sequence"
            elif (cache is None) != (cache_index is None) or (cache is not None and not self.causal):
                problem = "a cache needs cache_index, the place of the first query, and causal=True"
            else:
                return
        elif (key is None) != (cache is None) and cache_index is None:
            return
        else:
            problem = (
                "this layer was built to attend to another sequence: give it key, or cache=keys_and_values(key), "
                "which is not written to"
            )
        key, cache = ("None" if given is None else "given" for given in (key, cache))
        raise ValueError(
            f"{problem}. Received: key={key}, cache={cache}, cache_index={cache_index}, causal={self.causal}"
        )

    def multiply_adds(self, query_shape):
        """Of one example of a sequence that attends to itself: the linear maps, and each pair that is seen, twice."""
        n, m, h = self._sizes
        _, t, d = query_shape
        if not self.self_attention or t is None:
            raise ValueError(
                "the multiply-adds of attention are known for a fixed length, to itself. "
                f"Received: query_shape={tuple(query_shape)}, layer={self.name!r}"
            )
        seen = t if self.window is None else min(t, self.window if self.causal else 2 * self.window - 1)
        return t * (d * (2 * n + 2 * m) * h + 2 * seen * n * h)

    def compute_output_shape(self, query_shape, key_shape=None, value_shape=None):
        return query_shape

    def compute_output_spec(self, *args, **kwargs):
        return keras.Operation.compute_output_spec(self, *args, **kwargs)  # of weights and cache, too

    def get_config(self):
        names = ("num_heads", "head_dim", "num_key_value_heads", "causal", "window", "scale", "use_bias")
        own = {name: getattr(self, name) for name in (*names, "dropout", "seed")}
        for name in ("kernel_initializer", "output_initializer"):
            own[name] = keras.initializers.serialize(getattr(self, name))
        # The layer itself: Keras then sees, when saving, that several attentions share it.
        return super().get_config() | own | {"position": self.position}

    @classmethod
    def from_config(cls, config):
        position = config["position"]
        if isinstance(position, keras.Layer):  # of a layer that is cloned: its clone has weights of its own
            position = type(position).from_config(position.get_config())
        elif position is not None:
            position = keras.saving.deserialize_keras_object(position)
        return cls(**config | {"position": position})
